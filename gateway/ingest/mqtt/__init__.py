"""The front door: the gateway's own MQTT 5 and 3.1.1 endpoint (`listener.FrontDoor`).

Trust boundary: everything a peer sends is untrusted until `decode` has parsed it, and nothing is taken from a
peer before `handshake` has named its source.
"""
