"""Conditions of goods under way: from logged readings to the figures of a report, the same on every machine.

Nothing here opens a socket, and nothing that verifies opens a database.
"""
