"""The section `[recall]` of the configuration."""

from pydantic import BaseModel, ConfigDict, Field


class RecallConfig(BaseModel):
    """How this gateway takes part in recalls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    auto_answer: bool = Field(
        False, description="answer by the events alone, without a person who confirms what is in quarantine"
    )
    auto_answer_drills: bool = Field(True, description="the same for drills, in which nothing is touched")
    commit: bool = Field(
        True, description="put a commitment to each answer on the ledger, whose transactions show that it was us"
    )
