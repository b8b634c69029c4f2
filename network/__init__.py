"""The partners' network: organisations, peers, orderers, channel life cycle."""
