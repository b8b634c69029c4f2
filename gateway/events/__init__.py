"""The index of EPCIS events: which event says what of which thing, when and where. See gateway.events.schema.

Trust boundary: like the record index it is built from stored events and is as true as they are; answers that are
evidence name the record, whose receipt proves it. It holds values in clear, and forgets what is erased.
"""
