"""Preprocessing: from the bytes a source sent to normalised fields, flags and index terms.

Trust boundary: payloads are untrusted bytes. Everything here is pure: no clock, no file, no network, and the
same bytes with the same context always give the same answer. The only error that leaves is PayloadRejected.
"""
