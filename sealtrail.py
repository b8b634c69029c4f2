"""The command line: one program, `sealtrail`. Each subcommand lives beside what it runs and is imported when used.

Also checks that the packages named crypto, chaincode, chain, gateway, network and bench are ours: their names are
common, and a foreign package of such a name on the path would shadow them (docs/adr/0001).
"""

import importlib.util
import sys
from pathlib import Path

ROOMS = ("crypto", "chaincode", "chain", "gateway", "network", "bench")


def foreign_rooms() -> list[str]:
    """Rooms that Python would import from somewhere else than beside this file."""
    home = Path(__file__).resolve().parent
    found = []
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parent != home / room:
            found.append(f"{room} (from {spec.origin if spec else 'nowhere'})")
    return found


def main() -> None:
    """Entry point: mount the subcommands, run one, and show every error of ours as one line."""
    if foreign := foreign_rooms():
        sys.exit(
            f"sealtrail: another package shadows ours: {', '.join(foreign)}; "
            "install Sealtrail into an environment of its own (pipx, uv tool, python -m venv)"
        )
    from crypto.errors import SealtrailError
    from gateway.commands import application

    try:
        application(sys.argv[1] if len(sys.argv) > 1 else "")()
    except SealtrailError as e:
        print(f"sealtrail: {e}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
