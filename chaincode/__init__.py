"""The contract: its rules and the records it keeps. One code for every ledger that runs it."""
