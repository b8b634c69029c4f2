"""The section `[delivery]` of the configuration: how the outbox sends, and what others may have it send to."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateway.delivery.addresses import AddressRule
from gateway.delivery.errors import AddressError
from gateway.delivery.serving import Patience
from gateway.delivery.target import DAY_S, Bounds


class DeliveryConfig(BaseModel):
    """The outbox for webhooks, mail and other gateways."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow_http: bool = Field(False, description="receivers that others name may be reached without TLS")
    allowed_networks: list[str] = Field([], max_length=64, description="where these may be, beside public addresses")
    tls_ca: Path | None = Field(None, description="PEM; the authorities to believe in place of the public ones")
    retry_max_s: float = Field(300, ge=0.05, le=3600, description="longest pause between two tries")
    max_rows: int = Field(100_000, ge=1, le=10_000_000, description="that wait for one target")
    max_target_bytes: int = Field(256 * 2**20, ge=2**16, description="that wait for one target")
    max_bytes: int = Field(2**30, ge=2**20, description="that wait for all targets together")
    max_age_days: float = Field(30, gt=0, le=3650, description="then a delivery that still fails is put out")

    @field_validator("allowed_networks")
    @classmethod
    def _networks(cls, networks: list[str]) -> list[str]:
        try:
            AddressRule.of(False, networks)
        except AddressError as e:
            raise ValueError(str(e)) from e
        return networks

    @property
    def rule(self) -> AddressRule:
        return AddressRule.of(self.allow_http, self.allowed_networks)

    @property
    def patience(self) -> Patience:
        return Patience(first_s=min(1.0, self.retry_max_s), longest_s=self.retry_max_s)

    def bounds(self, *, refuse: bool = False) -> Bounds:
        """For a target. `refuse`: when they are reached new deliveries are refused, rather than old ones put out."""
        return Bounds(self.max_rows, self.max_target_bytes, self.max_age_days * DAY_S, refuse)
