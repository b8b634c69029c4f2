"""The section `[[alarms]]` of the configuration: who is told of alarms, and how."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.alarms.alarm import What

MAX_TARGETS = 32
Mailbox = Annotated[str, Field(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}$")]


class AlarmTarget(BaseModel):
    """One target: a webhook, or mailboxes that are reached by an SMTP server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern="^[a-z0-9][a-z0-9._-]{0,63}$", description="its name in the status, for ever")
    webhook: str = Field("", description="URL that alarms are posted to")
    secret_file: Path | None = Field(None, description="mode 0600; whsec_ and base64, by which the webhook is signed")
    smtp: str = Field("", description="mail server, smtps://mail.example:465 or smtp://mail.example:587")
    sender: Mailbox | None = Field(None, description="who the mail is from")
    to: list[Mailbox] = Field([], max_length=50, description="who the mail is for")
    username: str = Field("", description="at the mail server; empty: none")
    password_file: Path | None = Field(None, description="mode 0600; the password at the mail server")
    tls_ca: Path | None = Field(None, description="PEM; the authority to believe in place of the public ones")
    kinds: list[What] = Field([], description="only alarms of these; empty: of all")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.webhook) == bool(self.smtp):
            raise ValueError("give either webhook or smtp")
        wanted, schemes = (self.webhook, ("http", "https")) if self.webhook else (self.smtp, ("smtp", "smtps"))
        parts = urlsplit(wanted)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"must be a URL of {' or '.join(schemes)}")
        if not parts.port and parts.netloc.endswith(":0"):  # one out of range is a ValueError of its own
            raise ValueError("nothing listens on port 0")
        if parts.username is not None or parts.fragment:
            raise ValueError("must be a URL without a user, a password and a fragment; see secret_file and username")
        if self.secret_file and not self.webhook:
            raise ValueError("secret_file is for a webhook")
        if self.smtp and not (self.sender and self.to):
            raise ValueError("smtp needs sender and to")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file belong together")
        return self

    def wants(self, what: What) -> bool:
        return not self.kinds or what in self.kinds


def require_named_once(targets: list[AlarmTarget]) -> list[AlarmTarget]:
    """The list; ValueError where two have one name."""
    names = [target.name for target in targets]
    if len(set(names)) != len(names):
        raise ValueError("two targets of alarms have one name")
    return targets
