"""A device's session with its gateway through whatever carries bytes between them (docs/formats/session.md).

The handshake has the shape of Noise's IK pattern with key encapsulation in place of Diffie-Hellman (PQNoise, pqIK) and
the transcript discipline of EDHOC (RFC 9528): the device knows the gateway's static X-Wing key, the gateway the
device's signing key, and each key depends on every byte that was sent before it. After it come frames.

Trust boundary: everything that arrives is untrusted. Bytes in, bytes out: no socket, no file, no clock; time is an
argument. What a carrier can do is withhold.
"""
