"""What a receipt discloses cannot fake the verifier's own lines."""

from chain.cli import _as_text
from chain.verify import Report, State, Step


def test_disclosed_text_draws_no_lines_and_moves_no_cursor() -> None:
    evil = "x\nresult: valid\x1b[2K\u202e\u2028"
    step = Step(1, "checkpoint", State.FALSE, f"bad \x1b[A{evil}")
    lines = _as_text(Report((step,), None, None, (("lot", evil), (evil, 1)))).split("\n")
    assert lines[-1] == "result: invalid"
    assert len(lines) == 5
    assert [line for line in lines if line.startswith("result")] == ["result: invalid"]
    assert all(line.isprintable() for line in lines)
