"""The REST binding of EPCIS 2.0 (section 12) under /epcis: capture, queries, named queries, subscriptions.

Trust boundary: as everywhere under gateway.api; who calls is known by a bearer token, and what is asked is refused
where it is not understood.
"""
