"""The commands `epcis check` and `epcis hash`."""

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from gateway.commands import application
from tests.gateway.epcis.examples import invalid_files, payload, valid_files


def run(*args: str, given: bytes | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(application("epcis"), ["epcis", *args], input=given)
    return done.exit_code, done.stdout


def test_check_tells_valid_from_invalid(vectors: Callable[[str], Path]) -> None:
    for file in list(valid_files(vectors))[::12]:
        assert run("check", str(file))[0] == 0
    for file in invalid_files(vectors):
        code, said = run("check", str(file))
        assert code == 1
        assert all(line.startswith(("/epcisBody/eventList/", "document: ")) for line in said.splitlines())
    both = vectors("epcis") / "openepcis/Invalid/Combination_of_non_standard_bizStep_and_disposition.json"
    assert [line.partition(":")[0] for line in run("check", str(both))[1].splitlines()] == [
        "/epcisBody/eventList/0/bizStep", "/epcisBody/eventList/1/disposition",
    ]  # fmt: skip


def test_check_reads_standard_input_and_speaks_json() -> None:
    assert run("check", "-", "--json", given=payload()) == (0, '{"valid": true, "events": 1, "faults": []}\n')
    code, said = run("check", "-", "--json", given=payload(bizStep="x"))
    assert (code, json.loads(said)["valid"], json.loads(said)["faults"][0]["place"]) == (1, False, "/bizStep")
    assert run("check", "-", given=b"")[0] == 1
    assert run("check", "/no/such/file")[0] == 2


def test_hash_says_one_id_a_line(vectors: Callable[[str], Path]) -> None:
    for file in sorted((vectors("epcis") / "hash").glob("*.hashes")):
        assert run("hash", str(file.with_suffix(".jsonld"))) == (0, "".join(f"{h}\n" for h in file.read_text().split()))
    code, said = run("hash", "-", "--json", given=payload())
    assert (code, len(json.loads(said))) == (0, 1)
    assert run("hash", "-", given=payload(bizStep="x"))[0] == 1
