"""Tries to break each promise for real, on whole programs. Short within `make test`, long by `make torture`."""
