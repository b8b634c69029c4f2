"""The log, its proofs, the ledgers it is anchored to, receipts, the offline verifier and fsck."""
