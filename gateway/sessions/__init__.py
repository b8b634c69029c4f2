"""The gateway's side of device sessions: handshakes, the table of open sessions, frames in and out.

Between the doors and the pipeline: what comes in a frame goes on as the message that it holds, what goes out to a
device in a session goes as a frame. Protocol: crypto.session; formats: docs/formats/session.md.
"""
