"""A real mail server for tests, on a loopback port: it keeps what it takes."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.mosquitto import quiet_port

USER, PASSWORD = "alarms", "correct-horse"


class Mailbox:
    """What a mail server took, as (recipients, message)."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], Message]] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            self.mails.append((list(envelope.rcpt_tos), message_from_bytes(envelope.content or b"")))  # type: ignore[arg-type]
        return self.answer


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(tls: tuple[Path, Path] | None = None, **options: Any) -> Iterator[tuple[Mailbox, int]]:
    """A mail server on a loopback port; with `tls`, its certificate and key, it demands STARTTLS and a login."""
    box = Mailbox()
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        options |= {
            "tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": _authenticate,
        }  # fmt: skip
    controller = Controller(box, hostname="127.0.0.1", port=quiet_port(), **options)
    controller.start()
    try:
        yield box, controller.port
    finally:
        controller.stop()
