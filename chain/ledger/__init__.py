"""Ledgers that the log is anchored to."""
