"""Subcommands of `sealtrail network`."""
