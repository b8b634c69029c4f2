"""Questions to the event index as EPCIS 2.0 asks them: parameters, pages, named queries and subscriptions.

Trust boundary: parameters are untrusted. A parameter that is not known is refused, never left out: a misspelt filter
would show everything. An answer holds events exactly as they were captured; whether they are true is for receipts.
"""
