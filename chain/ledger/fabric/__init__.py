"""Hyperledger Fabric as the ledger. Needs the extra `fabric`; nothing else imports this before it is used."""
