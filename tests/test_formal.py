"""The models of the device session (docs/formal) hold what they say, and each of their queries can fail.

ProVerif judges; it is not one of the project's dependencies, and without it nothing of this file is shown. The short
form asks what takes seconds, the long form everything: about ten minutes.
"""

import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.torture.scale import LONG

HOME = Path(__file__).resolve().parents[1] / "docs" / "formal"
MODELS = {path.stem: path.read_text() for path in sorted(HOME.glob("*.pv"))}
CASES: list[dict[str, Any]] = tomllib.loads((HOME / "mutations.toml").read_text())["case"]
MARK = re.compile(r"^\(\*= ([a-z-]+)(?:: (true|false))? \*\)$", re.MULTILINE)
QUICK = {"device-to-gateway", "gateway-to-device", "the secret under S is not in the keys"}  # of the handshake

needs_proverif = pytest.mark.proverif
deadline = pytest.mark.timeout(600)  # stops what hangs; ProVerif takes about a minute for the slowest query


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a model, and the verdict that the model promises. `text` is the model with this query only."""

    name: str
    verdict: str
    text: str


def _queries(model: str) -> dict[str, Query]:
    """A model's queries by name."""
    marks = list(MARK.finditer(model))
    assert marks, "a model without a query"
    assert marks[-1][1] == "end", "a model's queries stand between their marks and (*= end *)"
    before, after = model[: marks[0].start()], model[marks[-1].start() :]
    return {
        mark[1]: Query(mark[1], mark[2], before + model[mark.start() : following.start()] + after)
        for mark, following in pairwise(marks)
    }


QUERIES = {name: _queries(model) for name, model in MODELS.items()}


def _verdict(text: str, folder: Path) -> str:
    """What ProVerif says of a model with one query: "true", "false", or its words for neither."""
    file = folder / "model.pv"
    file.write_text(text)
    done = subprocess.run(["proverif", file], capture_output=True, text=True, check=False)
    results = re.findall(
        r"^RESULT (?!\(even)(?:.*?)(?: is (true|false)| (cannot be proved))?\.$", done.stdout, re.MULTILINE
    )
    assert results, f"ProVerif gives no verdict: {done.stdout[-2000:]}"
    assert len({a or b for a, b in results}) == 1, f"one query, several verdicts: {results}"
    return results[0][0] or results[0][1]


def _mutated(case: dict[str, Any]) -> str:
    text = QUERIES[case["model"]][case["query"]].text
    for old, new in case["change"]:
        assert old in text, f"{case['name']!r} changes what is not in {case['model']}.pv: {old!r}"
        text = text.replace(old, new)
    return text


def _asked(model: str, name: str) -> bool:
    return LONG or model in {"frames", "ratchet"} or name in QUICK


@pytest.fixture(autouse=True)
def _proverif(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("proverif") and not shutil.which("proverif"):
        pytest.skip("ProVerif is not here: docs/formal/README.md says where it is had")


@needs_proverif
@deadline
@pytest.mark.parametrize(
    ("model", "query"),
    [
        pytest.param(model, query, id=f"{model}-{query.name}")
        for model, queries in QUERIES.items() for query in queries.values() if _asked(model, query.name)
    ],
)  # fmt: skip
def test_the_model_holds_what_it_says(model: str, query: Query, tmp_path: Path) -> None:
    assert _verdict(query.text, tmp_path) == query.verdict, f"{query.name} of {model}.pv"


@needs_proverif
@deadline
@pytest.mark.parametrize(
    "case", [case for case in CASES if _asked(case["model"], case["name"])], ids=lambda c: c["name"]
)
def test_without_its_protection_a_promise_fails(case: dict[str, Any], tmp_path: Path) -> None:
    assert _verdict(_mutated(case), tmp_path) == "false"


def test_every_promise_has_a_case_in_which_it_fails() -> None:
    """Also that every case changes something, for which no ProVerif is needed."""
    promises = {(m, q.name) for m, queries in QUERIES.items() for q in queries.values() if q.verdict == "true"}
    assert len(promises) >= 12
    assert promises == {(case["model"], case["query"]) for case in CASES if not case.get("limit")}
    for case in CASES:
        assert _mutated(case) != QUERIES[case["model"]][case["query"]].text


def test_the_page_has_the_verdict_of_every_query() -> None:
    rows = re.findall(
        r"^\| `([a-z]+)` \| `([a-z-]+)` \| .* \| (true|false) \|$", (HOME / "README.md").read_text(), re.M
    )
    assert sorted(rows) == sorted((m, q.name, q.verdict) for m, queries in QUERIES.items() for q in queries.values())
