"""What passes between two companies' gateways when goods do: secrets, contents, events with their proofs, answers."""
