"""What passes between the gateways of two companies when goods do: secrets, contents, events with their proofs, answers."""
