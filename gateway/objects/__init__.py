"""Sealed objects at the gateway: their ciphertexts, where they stand in the log, and who was granted them.

The gateway cannot open what it keeps. Everything that comes in is untrusted until its digest was computed here; what is
granted, received and revoked is the ledger's word.
"""
