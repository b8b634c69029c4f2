"""The pages: what the site holds and how it is proved, for people. Rendered here, with a little script for freshness.

Trust boundary: the same as of the REST interface, whose guards stand before them. What sources say is text to be
escaped (Jinja's autoescape), never markup. Payloads are shown to auditors and operators only.
"""
