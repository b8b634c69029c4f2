"""Recalls: the maker of a lot stops it everywhere, and learns what became of it, tier by tier.

Each gateway tells its own direct customers and nobody else; what these answer is added up on the way back, with the
Merkle root of the signed answers in place of names. Trust boundary: notices and answers of others are untrusted until
their signature and the ledger were looked at; a count in an answer is its company's word, compared with what it was
sent and what it received by the ledger.
"""
