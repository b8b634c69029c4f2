"""What a running gateway does for goods on their way: EPCIS events, custody, cold chain, alarms, recalls.

The parts are made and tied together here; each lives in a room of its own.
"""
