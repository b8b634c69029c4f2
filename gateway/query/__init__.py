"""Questions about a site, with plain dataclasses in and out: the REST interface, the pages and the command line ask.

Trust boundary: whoever asks was authorised before. Reads only. Lists come from the record index; evidence
(records, proofs, checkpoints) always from the log itself.
"""
