"""TLS with hybrid key exchange (X25519MLKEM768) and the group that each connection took.

By pyOpenSSL on the OpenSSL that `cryptography` brings, because Python's own `ssl` can neither choose nor tell the
group: docs/adr/0011.
"""
