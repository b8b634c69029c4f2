"""Bytes in, bytes out: hashing, Merkle verification, signatures, commitments, encryption at rest, key files.

Every cryptographic operation of Sealtrail happens in this room. It imports no other room.
"""
