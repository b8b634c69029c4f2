"""Alarms: what a person should know within seconds, from the ledger and from this site, and who is told how.

Every alarm reaches every target at least once; it has an id, and a person acknowledges it with a name and a reason.
"""
