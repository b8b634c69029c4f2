"""Payloads of the three kinds, as sources send them."""

READING = [{"n": "urn:dev:ops:cold-1:temperature", "u": "Cel", "v": 5.25}]
PRODUCTION = {
    "gtin": "04012345123456",
    "lot": "LOT-77",
    "expiry": "2027-12-31",
    "serial": "000123",
    "line": "line-3",
    "time": "2026-11-23T06:00:00Z",
}
INFERENCE = {
    "model": {"name": "vial-inspector", "version": "2.1", "digest": "ab" * 32},
    "input": {"digest": "cd" * 32},
    "output": {"label": "crack", "scores": {"crack": 0.93, "clean": 0.07}},
    "decision": "reject",
    "score": 0.93,
    "threshold": 0.5,
}
