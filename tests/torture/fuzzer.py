"""Parsers of untrusted bytes under a fuzzer that follows their branches (atheris, which is libFuzzer for Python).

`python -m tests.torture.fuzzer NAME [CORPUS] [-runs=N …]`. What is no value and no error of ours ends the program and
is the finding; libFuzzer leaves the bytes in a file.
"""

import contextlib
import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["chain", "chaincode", "crypto", "gateway", "tests.torture.parsers"]):
    from crypto.errors import SealtrailError
    from tests.torture.parsers import TARGETS


@atheris.instrument_func
def planted(data: bytes) -> None:
    """Shows that a fault is found."""
    if data[:2] == b"st":
        raise KeyError(data[2:])


def main() -> Any:
    target = (TARGETS | {"planted": planted})[sys.argv[1]]

    def one(data: bytes) -> None:
        with contextlib.suppress(SealtrailError):
            target(data)

    atheris.Setup([sys.argv[0], *sys.argv[2:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
