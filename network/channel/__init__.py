"""The channel: its first block, its configuration and changes of it, and whom to ask about it."""
