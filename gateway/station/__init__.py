"""The label station: reads a pack's code and print from its image and lets only what agrees pass."""
