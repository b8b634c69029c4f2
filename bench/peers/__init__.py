"""What the program is measured against, each a small program of its own."""
