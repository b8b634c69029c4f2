"""The JSON bodies of requests, strict: nothing unknown, everything bounded; and the answers that carry secrets."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from crypto.flat import MAX_NUMBER
from gateway.access import SeriesLimits, SourceSettings
from gateway.api.parameters import SourceName

MAX_KEY_BYTES = 8192  # the largest signature is 3,309 bytes


def _base64(value: Any) -> Any:
    """Strict RFC 4648 section 4 base64 of a text; pydantic refuses what is not one."""
    if type(value) is not str:
        return None
    try:
        data = base64.b64decode(value.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as e:
        raise ValueError("expected base64 (RFC 4648 section 4) without line breaks") from e
    if len(data) > MAX_KEY_BYTES:
        raise ValueError(f"expected at most {MAX_KEY_BYTES} bytes")
    return data


def _limits_in_order(limits: "list[LimitsIn]") -> "list[LimitsIn]":
    for limit in limits:
        if limit.low is not None and limit.high is not None and limit.low > limit.high:
            raise ValueError(f"limits of {limit.series!r}: low is above high")
    return limits


Base64In = Annotated[bytes, BeforeValidator(_base64), WithJsonSchema({
    "type": "string", "format": "base64", "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
})]  # fmt: skip
Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9 -]+$")]
AlgorithmName = Literal[
    "ed25519", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87", "ml-dsa-44-ed25519", "ml-dsa-65-ed25519"
]  # fmt: skip
Name = Annotated[str, StringConstraints(max_length=255, pattern=r"^[A-Za-z0-9\-:./_]*$")]
Unit = Annotated[str, StringConstraints(max_length=64, pattern=r"^[\x21-\x7e°µ]*$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class In(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LimitsIn(In):
    """What is normal for a series, in its base unit; outside is an excursion."""

    series: Name = Field("", description="resolved SenML name; empty for every series of the source")
    unit: Unit = Field(examples=["Cel"])
    low: Finite | None = Field(None, examples=[2.0])
    high: Finite | None = Field(None, examples=[8.0])


class Invite(In):
    """A source that may enrol."""

    source: SourceName = Field(examples=["cold-1"])
    kinds: Annotated[
        list[Literal["reading", "production", "inference", "object", "epcis"]], Field(min_length=1, max_length=5)
    ] = Field(default=["reading", "production", "inference"], description="what it may report")
    allow_plain: bool = Field(False, description="bare JSON without a key; records say gateway only")
    session_required: bool = Field(False, description="refuse what it sends in no session")
    alarms: bool = Field(False, description="it hears the alarms of this gateway")
    limits: Annotated[list[LimitsIn], Field(max_length=64), AfterValidator(_limits_in_order)] = []
    subject: Annotated[str, StringConstraints(max_length=64, pattern=r"^([A-Za-z0-9][A-Za-z0-9._:-]*)?$")] = Field(
        "", description="pseudonym of the person whom all it reports concerns", examples=["driver-7"]
    )

    def settings(self) -> SourceSettings:
        limits = tuple(SeriesLimits(x.series, x.unit, x.low, x.high) for x in self.limits)
        kinds = tuple(dict.fromkeys(self.kinds))
        return SourceSettings(kinds, self.allow_plain, limits, self.subject, self.session_required, self.alarms)


class Invited(BaseModel):
    """Shown once: the code for a device with a key, or the password of a source without one."""

    source: str
    code: str | None = Field(default=None, examples=["k3v9q-7mz2p-x4t8w-b6n1d-h5r0s-c"])
    password: str | None = None


class Revoke(In):
    """Why a key ends."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]+$")] = Field(
        examples=["device stolen"]
    )
    compromised_from: Annotated[int, Field(ge=0, le=MAX_NUMBER)] | None = Field(
        default=None, description="log index from which on its signatures may be a thief's, where that is known"
    )


class OfferRequest(In):
    """A one-time code."""

    code: Code


class OfferOut(BaseModel):
    """What the code enrols: the names that the device's proof of possession must sign."""

    source: str
    origin: str


class Enrol(In):
    """A device's key. `proof` signs CBOR [source, origin, algorithm, public key] under the enrolment label."""

    code: Code
    algorithm: AlgorithmName
    public_key: Base64In
    proof: Base64In


class Rotate(In):
    """A source's next key; the old and the new key have both signed the change."""

    algorithm: AlgorithmName
    public_key: Base64In
    from_index: Annotated[int, Field(ge=0, le=MAX_NUMBER)]
    old_signature: Base64In
    new_signature: Base64In


class Migrate(In):
    """Which signature algorithm the site changes to."""

    to: AlgorithmName
    force: bool = Field(default=False, description="also to a weaker one")


class MigratedOut(BaseModel):
    """What the site signs with now: export the policy anew and give it to auditors."""

    algorithm: str
    kid: str
    log_vkeys: list[str]


class MqttOut(BaseModel):
    """Where to publish."""

    host: str
    port: int
    tls: bool


class GatewayKeyOut(BaseModel):
    """The key under which the gateway signs its acknowledgements; base64."""

    algorithm: str
    public_key: str


class SessionKeyOut(BaseModel):
    """The gateway's static key for sessions; base64. A later one has a higher serial number."""

    suite: str
    public_key: str
    serial: int


class Enrolled(BaseModel):
    """Everything a device needs to connect and to believe the gateway. The password is shown once."""

    source: str
    origin: str
    mqtt: MqttOut
    password: str
    gateway_key: GatewayKeyOut
    log_vkeys: list[str]
    session_key: SessionKeyOut | None = None


class Erase(In):
    """Whose payloads are to be destroyed, and why."""

    subject: Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9._:/-]+$")] = Field(
        description="pseudonym of a person, or name of a source; person/… or source/… where both exist",
        examples=["patient-4711"],
    )
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")] = Field(
        description="stands in the log's statement, so without personal data", examples=["request of the subject"]
    )


class Erased(BaseModel):
    """What the log says of it."""

    entries: list[str] = Field(description="entries of the log that state the erasure", examples=[["5120"]])
    events: int = Field(description="how many payloads are gone")
