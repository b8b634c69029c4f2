"""The contract `lots`: the life of a lot from its making to the last pack, custody, exceptions, recalls."""
