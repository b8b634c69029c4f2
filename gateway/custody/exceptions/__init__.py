"""Exceptions: goods and data disagree. Each is told the ledger and the other company, and a person decides."""
