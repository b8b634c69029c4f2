"""EPCIS 2.0: documents and events of GS1's traceability standard, checked, hashed and named in one form.

Trust boundary: takes untrusted bytes. Everything here is pure: no clock, no file, no network (the command line aside),
and the same bytes always give the same answer. The only error that leaves is EpcisError.
"""
