"""kill −9 in the middle of many submits: what was answered is there exactly once, and all that is there agrees."""

import subprocess
import sys
from functools import partial
from pathlib import Path

from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.transaction_leaf import open_leaf
from crypto import cbor
from tests.chain.ledger.site import ORIGIN, begin, evidence, using
from tests.support.killing import steps_killed

CHILD = """
import asyncio, sys
from pathlib import Path
from tests.chain.ledger.site import ORIGIN, opened
from tests.contract_suite.actors import Actor

async def main(folder, round_):
    ledger = opened(folder)
    async def one(i):
        name = f"thing-{round_}-{i}"
        submitted = await ledger.submit("identities.enrol", *Actor(name, ORIGIN).enrolment("source"))
        print(submitted.index, submitted.tx_id, name, flush=True)
    for start in range(0, 100_000, 8):
        await asyncio.gather(*(one(i) for i in range(start, start + 8)))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def test_killed_in_the_middle_of_submits(tmp_path: Path) -> None:
    using(tmp_path, lambda ledger: begin(ledger, tmp_path))
    answered: list[str] = []
    for round_, lines in enumerate((11, 30, 57)):
        answered += _kill_after(tmp_path, round_, lines)
        using(tmp_path, partial(_everything_agrees, answered=answered))
    assert len(answered) >= 98


def _kill_after(folder: Path, round_: int, lines: int) -> list[str]:
    """Everything the child said, up to and including what it said while it was being killed."""
    command = [sys.executable, "-c", CHILD, str(folder), str(round_)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        said += child.stdout.readlines()
    assert child.returncode == -9
    return [line for line in said if line.endswith("\n")]


async def _everything_agrees(ledger: EmbeddedLedger, answered: list[str]) -> None:
    size = await ledger.check()
    leaves = [open_leaf((await evidence(ledger, index)).leaf) for index in range(size)]
    tx_ids = [leaf.request.tx_id for leaf in leaves]
    for line in answered:
        index, tx_id, name = line.split()
        assert tx_ids[int(index)] == tx_id
        assert tx_ids.count(tx_id) == 1
        assert leaves[int(index)].request.args[0] == name.encode()
    names = cbor.decode(await ledger.evaluate("identities.list", b"source"), 2**20)
    assert sorted(names) == sorted(f"{ORIGIN}#{leaf.request.args[0].decode()}" for leaf in leaves[2:])
    answered_names = {f"{ORIGIN}#{line.split()[2]}" for line in answered}
    assert answered_names <= set(names)


KILLED_AT = """
import asyncio, sys
from pathlib import Path
from tests.chain.ledger.site import ORIGIN, opened
from tests.contract_suite.actors import Actor
from tests.support.killing import kill_in_copies

async def submit(folder, steps):
    ledger = opened(folder)
    ledger._store.db.connection.set_trace_callback(steps)
    await ledger.submit("identities.enrol", *Actor("thing", ORIGIN).enrolment("source"))

kill_in_copies(Path(sys.argv[1]), lambda folder, steps: asyncio.run(submit(folder, steps)))
"""


def test_killed_at_each_statement_of_one_submit(tmp_path: Path) -> None:
    """State, leaf and checkpoint are one commit: at whichever SQL statement the process dies, all or none is there."""
    original = tmp_path / "original"
    original.mkdir()
    using(original, lambda ledger: begin(ledger, original))
    statements = steps_killed(KILLED_AT, original, timeout=120)  # in the last copy nobody was killed
    sizes = [using(tmp_path / f"at-{last}", EmbeddedLedger.check) for last in range(1, statements + 1)]
    assert sizes == [2] * (statements - 1) + [3]
    assert statements > 10
