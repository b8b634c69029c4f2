"""The JSON of custody: transitions for the ledger, hand-overs, exceptions. Times are µs since the Unix epoch."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.api.models import Out
from gateway.custody.exceptions.register import ExceptionCase
from gateway.custody.handover.book import Handover
from gateway.custody.standing import Standing
from gateway.custody.tasks import Task

ResolutionName = Literal[
    "corrected", "explained", "false-alert", "falsified", "returned", "destroyed", "withdrawn", "unanswered"
]  # fmt: skip


class TransitionOut(Out):
    """What one event asks the ledger for."""

    id: str = Field(examples=["12"], description="number, in the order of the events")
    record: str = Field(examples=["4711"], description="of the event that it rests on, index in the log")
    name: str = Field(examples=["ship"])
    state: str = Field(examples=["done"], description="pending, waiting, done, refused or void")
    things: list[str] = Field(examples=[["https://id.gs1.org/00/095200020000000018"]])
    reason: str = Field(examples=[""], description="why it waits, what it is behind, or why it is refused")
    behind: str | None = Field(
        description="id of the open one about the same thing at the head of the row that it stands in"
    )
    code: str = Field(examples=["not-custodian"], description="the contract's code, where it refused")
    transaction: str = Field(examples=["14"], description="on the ledger, empty while there is none")
    made_us: int
    ended_us: int | None
    until_us: int | None = Field(description="when it is given up, where it waits for a hand-over")

    @classmethod
    def of(cls, task: Task, standing: Standing) -> Self:
        behind = None if standing.behind is None else str(standing.behind)
        return cls(
            id=str(task.id), record=str(task.leaf), name=task.name, state=task.state.name.lower(),
            things=list(task.things), reason=standing.reason, behind=behind, code=task.code, transaction=task.tx_id,
            made_us=task.made_us, ended_us=task.ended_us, until_us=task.until_us,
        )  # fmt: skip


class TransitionsOut(Out):
    """A page of them. `counts` is of all, by state; `problem` is why the ledger cannot be told now; `idle`: all that is
    logged was taken, nothing is left to be told now, and none stands behind another."""

    transitions: list[TransitionOut]
    after: str | None = Field(description="go on behind this id; null at the end")
    counts: dict[str, int]
    problem: str
    idle: bool


class HandoverOut(Out):
    """One hand-over, from us or to us."""

    id: str
    incoming: bool
    organisation: str = Field(examples=["WholesalerMSP"], description="the other company")
    state: str = Field(examples=["taken"])
    units: list[str]
    record: str | None = Field(description="of the shipping event, where it is ours")
    made_us: int
    changed_us: int
    parts: int | None
    reason: str = Field(description="why it was rejected or could not be made")

    @classmethod
    def of(cls, one: Handover) -> Self:
        return cls(
            id=one.id.hex(), incoming=one.incoming, organisation=one.organisation, state=one.state.name.lower(),
            units=list(one.units), record=None if one.leaf is None else str(one.leaf), made_us=one.made_us,
            changed_us=one.changed_us, parts=one.parts, reason=one.reason,
        )  # fmt: skip


class HandoversOut(Out):
    """A page of hand-overs, the newest first."""

    handovers: list[HandoverOut]


class ExceptionOut(Out):
    """Goods and data that disagree."""

    id: str = Field(examples=["3"])
    kind: str = Field(examples=["product-without-data"])
    state: str = Field(examples=["open"], description="open, answered or resolved")
    owner: str = Field(examples=["WholesalerMSP"], description="the company that resolves it")
    organisation: str = Field(examples=["MakerMSP"], description="the other company, empty where there is none")
    ours: bool = Field(description="whether this company resolves it; else it is asked to answer")
    things: list[str]
    records: list[str] = Field(description="events in this log that were compared")
    compared: str = Field(description="what was expected and what was found, in words")
    ledger_id: str | None = Field(description="what the ledger calls it, hex; null until it is there")
    opened_us: int
    changed_us: int
    deadline_us: int = Field(description="for the answer; 0 without one")
    answer: str
    resolution: str
    remark: str
    trouble: str = Field(
        examples=[""], description="why the ledger refused the report, the answer or the resolution; empty: it did not"
    )

    @classmethod
    def of(cls, case: ExceptionCase, us: str) -> Self:
        return cls(
            id=str(case.id), kind=case.kind, state=case.state, owner=case.owner, organisation=case.organisation,
            ours=case.owner == us, things=list(case.things), records=[str(leaf) for leaf in case.records],
            compared=case.compared, ledger_id=case.ledger_id.hex() if case.ledger_id else None,
            opened_us=case.opened_us, changed_us=case.changed_us, deadline_us=case.deadline_us, answer=case.answer,
            resolution=case.resolution, remark=case.remark, trouble=case.trouble,
        )  # fmt: skip


class ExceptionsOut(Out):
    """A page of them. `counts` is of all, by state."""

    exceptions: list[ExceptionOut]
    after: str | None = Field(description="go on behind this id; null at the end")
    counts: dict[str, int]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AnswerIn(_In):
    """What we say to an exception of another company."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class ResolveIn(_In):
    """How we end an exception of our own."""

    resolution: ResolutionName
    remark: Annotated[str, StringConstraints(max_length=2000)] = ""
