"""The section `[epcis]` of the configuration: bounds of capture, and who may be sent query results."""

from pydantic import BaseModel, ConfigDict, Field


class EpcisConfig(BaseModel):
    """EPCIS 2.0 over REST."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_document_bytes: int = Field(8 * 2**20, ge=2**16, le=16 * 2**20, description="bound of one captured document")
    max_document_events: int = Field(2000, ge=1, le=20_000, description="bound of the events in one document")
    subscriber_prefixes: list[str] = Field(
        [], max_length=64, description="where webhooks may go; empty: wherever [delivery] allows it"
    )
