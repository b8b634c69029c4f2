"""Write what outsiders need: the JSON Schema of every kind, and the table of units.

Use: `python -m gateway.preprocess.publish docs/formats/schemas`.
"""

import json
import sys
from pathlib import Path
from typing import Any

from gateway.preprocess import kinds
from gateway.preprocess.units import names


def files() -> dict[str, str]:
    """File name -> text: <kind>.json for every kind, and units.json."""
    tables: dict[str, Any] = {f"{kind.name}.json": kind.json_schema() for kind in kinds.ALL}
    tables["units.json"] = {
        name: {"base": unit.base, "shift": unit.shift, "numerator": unit.numerator, "denominator": unit.denominator}
        for name, unit in names().items()
    }
    return {name: json.dumps(table, indent=2, sort_keys=True) + "\n" for name, table in tables.items()}


def publish(folder: Path) -> None:
    """Write all files into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
