"""The command line: one program, `sealtrail`, whose subcommands live beside what they run."""


def main() -> None:
    """Entry point of the installed program."""
