"""Keys in encrypted files: their format, the folder that holds them, passphrases, and the commands over them."""
