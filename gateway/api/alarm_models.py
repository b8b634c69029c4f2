"""Bodies of the routes for alarms and shipments, strict as all bodies are, and their answers."""

import datetime
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from chain.conditions.policies import READY_MADE
from chaincode.coldchain.policy import Direction, Limit, MktLimit, Mode, Policy
from chaincode.coldchain.records import Act, Explanation, Progress, Shipment
from crypto.flat import MAX_NUMBER
from gateway.api.bodies import In
from gateway.api.parameters import SourceName
from gateway.coldchain.shipping_order import Opening, WantedLogger


def _ascii(value: str) -> str:
    if not all(" " <= c <= "~" for c in value):
        raise ValueError(
            "stands on the ledger, which takes printable ASCII only: letters without accents, digits, signs"
        )
    return value


def _series(value: str) -> str:
    if not _SERIES.fullmatch(value):
        raise ValueError(
            "no reading is of such a series: its name has letters, digits and - : . / _ only, and begins with a letter "
            "or digit"
        )
    return value


_SERIES = re.compile("[A-Za-z0-9][-A-Za-z0-9:./_]*")
# The pattern stands in the schema, the reason in words: a refusal goes to people.
_IN_ASCII = Field(json_schema_extra={"pattern": r"^[\x20-\x7e]+$"})
PolicyName = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_ascii), _IN_ASCII]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_ascii), _IN_ASCII]
Series = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_series),
    Field(json_schema_extra={"pattern": f"^{_SERIES.pattern}$"}),
]  # fmt: skip
Words = StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")
Hex = StringConstraints(pattern="^[0-9a-f]{64}$")
_Milli = Annotated[int, Field(ge=-273_149, le=1_000_000)]
_Span = Annotated[int, Field(ge=0, le=316_224_000)]


class AcknowledgeIn(In):
    """Who has seen to an alarm, and how."""

    by: Annotated[str, Words] = Field(examples=["J. Muster, QA"])
    reason: Annotated[str, Words] = Field(examples=["goods moved to the other cold room"])


class LimitIn(In):
    """More than `allowed_s` outside the threshold is an excursion."""

    direction: Literal["above", "at-least", "below", "at-most"]
    threshold_milli_c: _Milli = Field(examples=[8000])
    mode: Literal["single", "cumulative"] = "single"
    allowed_s: _Span = 0


class MktIn(In):
    """The mean kinetic temperature must not lie above `most_milli_c`."""

    most_milli_c: _Milli
    activation: Annotated[int, Field(ge=1, le=1_000_000)] = Field(83_144, description="ΔH in J/mol")
    window_s: _Span | None = Field(None, description="over any stretch so long; null: over the whole time")


class PolicyIn(In):
    """A policy of one's own."""

    name: PolicyName
    limits: Annotated[list[LimitIn], Field(min_length=1, max_length=8)]
    mkt: MktIn | None = None
    gap_s: _Span = Field(3600, description="longest time without a reading")
    interval_s: _Span = Field(7200, description="longest time without a report")
    clock_s: _Span = Field(300, description="how far a logger's clock may be ahead")
    calibration_days: Annotated[int, Field(ge=1, le=36_500)] | None = 365

    def policy(self) -> Policy:
        limits = tuple(
            Limit(Direction(one.direction), one.threshold_milli_c, Mode(one.mode), one.allowed_s) for one in self.limits
        )
        mkt = MktLimit(self.mkt.most_milli_c, self.mkt.activation, self.mkt.window_s) if self.mkt else None
        return Policy(self.name, limits, mkt, self.gap_s, self.interval_s, self.clock_s, self.calibration_days)


class LoggerIn(In):
    """A source of the reporter's log, and its series."""

    source: SourceName = Field(examples=["truck-7"])
    series: Series = Field(examples=["truck-7:temperature"])
    calibrated: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = Field(
        None, description="day of its calibration; without one that is a finding where the policy asks for it"
    )
    certificate: Annotated[str, Hex] | None = Field(None, description="SHA-256 of the calibration certificate")

    def wanted(self) -> WantedLogger:
        """ValueError where the day is in no calendar."""
        day = datetime.date.fromisoformat(self.calibrated) if self.calibrated else None
        return WantedLogger(
            self.source, self.series, day, bytes.fromhex(self.certificate) if self.certificate else None
        )


class OpenIn(In):
    """Goods go on their way under a policy."""

    policy: Annotated[str, StringConstraints(max_length=64)] | PolicyIn = Field(examples=["refrigerated"])
    recipient: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(description="its organisation")
    loggers: Annotated[list[LoggerIn], Field(min_length=1, max_length=16)]
    units: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=2048)]],
                     Field(min_length=1, max_length=32)] = Field(
        description="SSCCs, EPC URNs or Digital Links that custody knows here, or unit ids in hex")  # fmt: skip
    reporter: Annotated[str, StringConstraints(max_length=128)] = Field(
        "", description="origin of the log that reports; empty: this gateway's"
    )
    from_us: Annotated[int, Field(ge=0, le=MAX_NUMBER)] = Field(0, description="the beginning; 0: now")

    def opening(self) -> Opening:
        policy = self.policy if isinstance(self.policy, str) else self.policy.policy()
        loggers = [one.wanted() for one in self.loggers]
        return Opening(policy, self.recipient, loggers, self.units, self.reporter, self.from_us)


class ExplainIn(In):
    """How an alarm came about. The text stays at this gateway; the ledger gets its SHA-256."""

    alarm: Annotated[int, Field(ge=0, le=255)]
    code: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    text: Annotated[str, StringConstraints(min_length=1, max_length=4000)]


class ReleaseIn(In):
    """Why the units may go."""

    reason: Reason = Field(examples=["stability data cover 24 h at 12 C"])


class ExplanationOut(BaseModel):
    alarm: int
    organisation: str
    code: str
    text_digest: str
    at_us: int

    @classmethod
    def of(cls, one: Explanation) -> "ExplanationOut":
        return cls(
            alarm=one.alarm, organisation=one.organisation, code=one.code, text_digest=one.text_digest.hex(),
            at_us=one.explained_us,
        )  # fmt: skip


def policy_out(policy: Policy) -> dict[str, Any]:
    """A policy as JSON, in the form that opening takes, with its id."""
    return {
        "id": policy.id.hex(), "name": policy.name,
        "limits": [
            {"direction": str(one.direction), "threshold_milli_c": one.threshold, "mode": str(one.mode),
             "allowed_s": one.allowed_s} for one in policy.limits
        ],
        "mkt": {"most_milli_c": policy.mkt.most, "activation": policy.mkt.activation, "window_s": policy.mkt.window_s}
        if policy.mkt else None,
        "gap_s": policy.gap_s, "interval_s": policy.interval_s, "clock_s": policy.clock_s,
        "calibration_days": policy.calibration_days,
    }  # fmt: skip


def ready_made() -> list[dict[str, Any]]:
    return [policy_out(policy) for policy in READY_MADE.values()]


def shipment_out(
    shipment: Shipment, progress: Progress, policy: Policy, explanations: Iterable[Explanation] = (),
    disputes: Iterable[dict[str, Any]] = (),
) -> dict[str, Any]:  # fmt: skip
    """A shipment by the ledger."""
    return {
        "id": shipment.shipment_id.hex(), "policy": policy_out(policy), "opener": shipment.opener,
        "reporter": shipment.reporter, "reporter_origin": shipment.reporter_origin, "recipient": shipment.recipient,
        "from_us": shipment.from_us, "opened_us": shipment.opened_us,
        "loggers": [
            {"source": one.source, "series": one.series, "calibrated_day": one.calibrated,
             "certificate": one.certificate.hex() if one.certificate else None} for one in shipment.loggers
        ],
        "units": [unit.hex() for unit in shipment.units], "reports": progress.seq, "through_us": progress.through_us,
        "held": progress.held, "complete": progress.complete, "released": _act(progress.released),
        "closed": _act(progress.closed),
        "alarms": [
            {"number": number, "cause": str(one.finding.cause), "logger": one.finding.logger,
             "limit": one.finding.limit, "figure": one.finding.figure, "report": one.seq, "since_us": one.since_us,
             "transaction": one.tx_id} for number, one in enumerate(progress.alarms)
        ],
        "explanations": [ExplanationOut.of(one).model_dump() for one in explanations], "disputes": list(disputes),
    }  # fmt: skip


def _act(act: Act | None) -> dict[str, Any] | None:
    return {"by": act.organisation, "at_us": act.at_us, "reason": act.reason, "transaction": act.tx_id} if act else None
