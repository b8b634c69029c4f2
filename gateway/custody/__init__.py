"""Custody: what ties a company's EPCIS events to the lots on the ledger, and what passes between partners.

Events of the log become transitions of the contract `lots`; what is shipped goes with its pedigree to the next holder's
gateway; what does not fit becomes an exception that people answer.
"""
