"""The append-only Merkle log: entries, tiles, proofs, checkpoints, witnesses."""
