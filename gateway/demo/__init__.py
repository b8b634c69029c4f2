"""Real data for demonstrations: measured temperatures and a packing line whose codes are drawn and read for real.

Needs the extra `demo`; every import of it waits until it is used. Nothing here is trusted by anything.
"""
