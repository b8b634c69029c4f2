"""What the gateway tells others, over HTTP or mail, kept on disk until they took it."""
