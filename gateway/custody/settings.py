"""The section `[[partners]]` of the configuration: the companies that this one trades with."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateway.preprocess.gs1 import check_digit

MAX_PARTNERS = 1000
Gln = Annotated[str, Field(pattern=r"^[0-9]{13}$")]


class PartnerConfig(BaseModel):
    """One company: who it is on the ledger, which GLNs are its own, and where its gateway is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    organisation: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$", description="its name on the ledger: on Fabric the MSP id"
    )
    parties: list[Gln] = Field([], max_length=1000, description="its GLNs, 13 digits each, as events name it")
    url: str = Field(description="of its gateway's REST interface, https")
    token_file: Path = Field(description="file of mode 0600 with the token that its gateway gave us")
    tls_ca: Path | None = Field(None, description="PEM; believes this authority alone, in place of the usual ones")

    @field_validator("parties")
    @classmethod
    def _glns(cls, parties: list[str]) -> list[str]:
        for gln in parties:
            if gln[-1] != str(check_digit(gln[:-1])):
                raise ValueError(f"the GLN {gln} ends with {check_digit(gln[:-1])}, if its other digits are right")
        return parties

    @field_validator("url")
    @classmethod
    def _reachable(cls, url: str) -> str:
        parts = urlsplit(url)
        local = parts.hostname in ("127.0.0.1", "::1", "localhost")
        if parts.scheme != "https" and not (local and parts.scheme == "http"):
            raise ValueError("must be like https://gateway.partner.example; plain http goes to this machine only")
        if not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError("must be like https://gateway.partner.example, without a password, query or fragment")
        return url.rstrip("/")


class CustodyConfig(BaseModel):
    """The section `[custody]`: how long is waited before something is an exception."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_wait_s: float = Field(3600, ge=0, le=30 * 86_400, description="for the hand-over of something received")
    product_wait_days: float = Field(14, gt=0, le=365, description="for the goods of a hand-over")
    answer_days: float = Field(3, gt=0, le=365, description="that a partner has to answer an exception")


def require_distinct(partners: list[PartnerConfig]) -> list[PartnerConfig]:
    """The list, where no company stands twice in it and no GLN belongs to two; ValueError else."""
    seen: dict[str, str] = {}
    for partner in partners:
        for name in (f"organisation {partner.organisation}", *(f"GLN {gln}" for gln in partner.parties)):
            if name in seen:
                raise ValueError(f"{name} stands there twice: of {seen[name]} and of {partner.organisation}")
            seen[name] = partner.organisation
    return partners
