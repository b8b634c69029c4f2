"""Capture of EPCIS events over REST: a document is checked, split, stored once, and told of as a job.

Trust boundary: takes untrusted documents from whoever has a token that may capture. What is stored was checked by
gateway.epcis; that it is true nobody checks, so the label of the token that brought it is kept beside it.
"""
