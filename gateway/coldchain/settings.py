"""The section `[coldchain]` of the configuration: for whom this gateway reports temperatures by itself."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Organisation = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]


class ColdChainConfig(BaseModel):
    """Whoever opens a shipment names who reports it; these say when that happens without an operator's word."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    report_for: list[Organisation] = Field(
        [], max_length=1000, description="organisations whose shipments are reported, beside the partners' and our own"
    )
    max_age_days: float = Field(7, gt=0, le=3650, description="of a shipment that another organisation opens")
    max_shipments: int = Field(1000, ge=1, le=20_000, description="under way of one other organisation")
