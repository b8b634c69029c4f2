"""Changing the keys that a running site signs with."""
