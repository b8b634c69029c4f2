"""The side door: a client of any existing MQTT 5 broker that acknowledges only what is on disk (`door.SideDoor`).

Trust boundary: only the topic says who a source is, so nothing that comes in here is authenticated. A broker's
PUBACK to a device promises nothing about us; the receipts that go out here close that gap.
"""
