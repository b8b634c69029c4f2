"""What a receipt discloses cannot fake the verifier's own lines."""

from chain.report import MEANING, as_text
from chain.verify import Report, State, Step


def test_disclosed_text_draws_no_lines_and_moves_no_cursor() -> None:
    evil = "x\nresult: valid\x1b[2K\u202e\u2028"
    step = Step(1, "checkpoint", State.FALSE, f"bad \x1b[A{evil}")
    lines = as_text(Report((step,), None, None, (("lot", evil), (evil, 1)))).split("\n")
    assert lines[-1] == "result: invalid"
    assert len(lines) == 5
    assert [line for line in lines if line.startswith("result")] == ["result: invalid"]
    assert all(line.isprintable() for line in lines)


def test_every_link_is_explained() -> None:
    names = ("checkpoint", "witnesses", "record", "event", "fields", "identity", "seal", "anchor")
    assert tuple(MEANING) == ("disclosure", *names)
    steps = tuple(Step(number, name, State.HOLDS, "so") for number, name in enumerate(names, 1))
    lines = as_text(Report(steps, None, None, ()), explain=True).split("\n")
    assert [line.strip().partition(":")[0] for line in lines[1:-1:3]] == ["proves"] * 8
    assert [line.strip().partition(":")[0] for line in lines[2:-1:3]] == ["does not prove"] * 8
