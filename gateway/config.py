"""The gateway's configuration: one TOML file, every value checked, every default documented here.

The file is trusted as the operator's word; a mistake in it stops the start with the place and the mend.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from chain.site import ORIGIN
from crypto.errors import SealtrailError
from gateway.alarms.settings import MAX_TARGETS, AlarmTarget, require_named_once
from gateway.capture.settings import EpcisConfig
from gateway.coldchain.settings import ColdChainConfig
from gateway.custody.settings import MAX_PARTNERS, CustodyConfig, PartnerConfig, require_distinct
from gateway.delivery.settings import DeliveryConfig
from gateway.recall.settings import RecallConfig

Port = Annotated[int, Field(ge=0, le=65_535)]


class ConfigError(SealtrailError):
    """The configuration file cannot be used as it is."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Endpoint(_Section):
    """TLS of something that listens."""

    tls_certificate: Path | None = Field(None, description="PEM chain; turns TLS on, together with tls_key")
    tls_key: Path | None = Field(None, description="PEM private key of the certificate")
    require_post_quantum: bool = Field(False, description="refuse TLS without a post-quantum key exchange")

    @model_validator(mode="after")
    def _tls_pair(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together: set both or neither")
        if self.require_post_quantum and not self.tls_certificate:
            raise ValueError("require_post_quantum needs tls_certificate and tls_key")
        return self


class FrontDoorConfig(_Endpoint):
    """The gateway's own MQTT listener."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: Port = Field(1883, description="0 takes a free port")
    public_host: str = Field("", description="name that devices are told to connect to; empty: host")
    tls_client_ca: Path | None = Field(None, description="PEM; lets devices log in by certificate (subject CN)")
    max_connections: int = Field(10_000, ge=1, le=100_000)
    receive_maximum: int = Field(1024, ge=1, le=65_535, description="unacknowledged messages a connection may have")

    @model_validator(mode="after")
    def _client_ca(self) -> Self:
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        return self


class SideDoorConfig(_Section):
    """A client of a broker that is already there. Without this section there is no side door."""

    host: str = Field(description="the broker's address")
    port: Port = Field(1883)
    username: str = ""
    password_file: Path | None = Field(None, description="file that holds the password, mode 0600")
    tls_ca: Path | None = Field(None, description="PEM; turns TLS on")
    require_post_quantum: bool = Field(False, description="leave a broker without a post-quantum key exchange")
    client_id: str = Field("sealtrail-gateway", min_length=1, max_length=64)
    shared_group: str = Field("", description="share the load with other gateways of this group; empty: alone")
    reconnect_max_s: int = Field(60, ge=1, le=3600, description="longest pause between two tries to reach the broker")

    @model_validator(mode="after")
    def _tls(self) -> Self:
        if self.require_post_quantum and not self.tls_ca:
            raise ValueError("require_post_quantum needs tls_ca")
        return self


class ApiConfig(_Endpoint):
    """REST interface, tlog-tiles and pages."""

    host: str = "127.0.0.1"
    port: Port = Field(8080, description="0 takes a free port")
    public_url: str = Field(
        "", description="URL that people and devices use; empty: http://host:port, or https with TLS"
    )
    requests_per_second: float = Field(500, gt=0, description="for each token or address; bursts of 4 s are allowed")


class StorageConfig(_Section):
    """Bounds of the disk: when they are reached new events are refused, nothing is overwritten."""

    max_bytes: int = Field(100 * 2**30, ge=64 * 2**20, description="bound of the data directory")
    reserve_bytes: int = Field(256 * 2**20, ge=0, description="room on the disk that is left to others")


class PipelineConfig(_Section):
    """Between door and disk."""

    queue_bytes: int = Field(32 * 2**20, ge=2**20, description="bound of what waits in memory")
    late_after_s: float = Field(300, gt=0, description="an event received later than this is marked late")
    seal_overdue_s: float = Field(300, gt=0, description="alert when a source's events are unsealed for so long")


class SessionsConfig(_Section):
    """Sessions of devices, docs/formats/session.md."""

    required: bool = Field(False, description="refuse what a source with a key sends in no session")
    renew_s: int = Field(3600, ge=3600, le=86_400, description="fresh keys at least so often")
    handshakes_per_second: float = Field(100, gt=0, le=10_000, description="of all devices together")
    max_sessions: int = Field(10_000, ge=1, le=200_000, description="the one that was quiet longest gives way")


class FabricConfig(_Section):
    """A channel of Hyperledger Fabric, where the partners run it together."""

    profile: Path = Field(description="connection profile, docs/formats/connection-profile.md")
    config_hashes: list[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(
        [], description="config blocks to believe, by hash; empty: the newest that the gateway's own peers tell"
    )


class SharedLedgerConfig(_Section):
    """One embedded ledger for gateways of several organisations on one machine: for trials and demonstrations."""

    folder: Path = Field(description="the ledger's folder, made by the first gateway that comes")
    name: str = Field(min_length=3, max_length=128, description="the ledger's name for ever, like trade.example/ledger")
    organisation: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$", description="whose gateway this is")


class LogConfig(_Section):
    """Checkpoints, anchors and witnesses."""

    checkpoint_interval_s: float = Field(1.0, ge=0.05, le=3600)
    anchor_interval_s: float = Field(5.0, ge=0.05, le=86_400, description="urgent events do not wait for it")
    witness_policy: Path | None = Field(None, description="C2SP tlog-policy with witness URLs; its quorum must cosign")


class BucketConfig(_Section):
    """A bucket of an S3-compatible store for sealed objects. Without this section they lie in the folder objects/."""

    name: str = Field(min_length=3, max_length=63)
    endpoint: str = Field("", description="like https://s3.example; empty: Amazon's of the region")
    region: str = "us-east-1"
    prefix: str = ""
    access_key_file: Path | None = Field(None, description="file of mode 0600; None: the environment's credentials")
    secret_key_file: Path | None = Field(None, description="file of mode 0600")


class ObjectsConfig(_Section):
    """Sealed objects that are kept for partners."""

    max_object_bytes: int = Field(8 * 2**30, ge=2**10, description="bound of one object")
    max_bytes: int = Field(20 * 2**30, ge=2**20, description="bound of all objects together")


class SealingConfig(_Section):
    """A one-way gateway: payloads at rest that it cannot read itself."""

    recipients: list[Path] = Field([], max_length=64, description="public key files; what is stored only they can read")
    epoch_s: float = Field(3600, ge=1, le=604_800, description="how long the gateway has a key in its memory")


class Config(_Section):
    """The whole file."""

    origin: str = Field(description="the log's name for ever, like plant-7.example/line-3")
    data: Path = Field(description="data directory of this gateway alone")
    company: str = Field("", max_length=80, description="name of the company, as its pages show it")
    front_door: FrontDoorConfig = FrontDoorConfig()  # type: ignore[call-arg] # pydantic's defaults
    side_door: SideDoorConfig | None = None
    api: ApiConfig = ApiConfig()  # type: ignore[call-arg]
    storage: StorageConfig = StorageConfig()  # type: ignore[call-arg]
    pipeline: PipelineConfig = PipelineConfig()  # type: ignore[call-arg]
    sessions: SessionsConfig = SessionsConfig()  # type: ignore[call-arg]
    ledger: Literal["embedded", "fabric"] = "embedded"
    fabric: FabricConfig | None = None
    shared_ledger: SharedLedgerConfig | None = None
    log: LogConfig = LogConfig()  # type: ignore[call-arg]
    recall: RecallConfig = RecallConfig()  # type: ignore[call-arg]
    objects: ObjectsConfig = ObjectsConfig()  # type: ignore[call-arg]
    bucket: BucketConfig | None = None
    sealing: SealingConfig = SealingConfig()  # type: ignore[call-arg]
    alarms: Annotated[list[AlarmTarget], AfterValidator(require_named_once)] = Field([], max_length=MAX_TARGETS)
    epcis: EpcisConfig = EpcisConfig()  # type: ignore[call-arg]
    delivery: DeliveryConfig = DeliveryConfig()  # type: ignore[call-arg]
    custody: CustodyConfig = CustodyConfig()  # type: ignore[call-arg]
    coldchain: ColdChainConfig = ColdChainConfig()  # type: ignore[call-arg]
    partners: Annotated[list[PartnerConfig], AfterValidator(require_distinct)] = Field([], max_length=MAX_PARTNERS)

    @field_validator("origin")
    @classmethod
    def _origin_form(cls, origin: str) -> str:
        if not ORIGIN.fullmatch(origin):
            raise ValueError("must be like plant-7.example/line-3: lower case, no spaces")
        return origin

    @model_validator(mode="after")
    def _fabric_section(self) -> "Config":
        if (self.ledger == "fabric") != (self.fabric is not None):
            raise ValueError('ledger = "fabric" and a section [fabric] with a profile belong together')
        if self.fabric is not None and self.shared_ledger is not None:
            raise ValueError("[shared_ledger] is for the embedded ledger; leave it out beside [fabric]")
        return self


def load_config(path: Path) -> Config:
    """Read and check a configuration file; relative paths in it are relative to it.

    Raises:
        ConfigError: unreadable, not TOML, or a value is wrong; names every wrong value.
    """
    try:
        content = tomllib.loads(path.read_text())
    except OSError as e:
        raise ConfigError(f"cannot read {path}: {e.strerror}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path} is not TOML: {e}") from e
    try:
        config = Config.model_validate(content)
    except ValidationError as e:
        raise ConfigError(f"{path}:\n{_explain(e)}") from e
    return _anchored_at(config, path.absolute().parent)


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        place = ".".join(map(str, problem["loc"])) or "file"
        given = "" if problem["type"] == "missing" else f" (got {problem['input']!r:.60})"
        lines.append(f"  {place}: {problem['msg']}{given}")
    return "\n".join(lines)


def _anchored_at(config: Config, folder: Path) -> Config:
    """All paths made absolute, so that the program may be started anywhere."""

    def fix(value: Any) -> Any:
        if isinstance(value, Path):
            return folder / value
        if isinstance(value, list):
            return [fix(item) for item in value]
        if isinstance(value, BaseModel):
            return value.model_copy(update={name: fix(getattr(value, name)) for name in type(value).model_fields})
        return value

    fixed: Config = fix(config)
    return fixed
