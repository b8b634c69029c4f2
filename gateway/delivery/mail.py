"""Mail: the carrier that brings a message (RFC 5322) to an SMTP server (RFC 5321) over TLS.

Trust boundary: the mail server, whose certificate is checked; without TLS nothing is sent but to this machine itself.
Passwords are read from their files for each message and lie nowhere else.
"""

import contextlib
import io
import ipaddress
import smtplib
import socket
from collections.abc import Mapping
from email import message_from_bytes
from email.utils import getaddresses
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crypto.errors import KeyMaterialError
from crypto.files import read_secret
from crypto.tls.client import TlsClient, for_httpx
from gateway.delivery.errors import AddressError, SendError
from gateway.delivery.target import Delivery, Target

TIMEOUT_S = 15.0
_PORTS = {"smtp": 587, "smtps": 465}


class MailCarrier:
    """Opens lines to smtp and smtps URLs; `logins` by the target's name in the outbox: user and password file."""

    def __init__(self, logins: Mapping[str, tuple[str, Path]], tls_ca: Path | None = None) -> None:
        self._logins, self._tls = logins, TlsClient(tls_ca) if tls_ca else for_httpx()

    def __call__(self, target: Target) -> "MailLine":
        parts = urlsplit(target.url)
        if not parts.hostname or not target.configured:
            raise AddressError("mail goes to servers of the configuration alone")
        try:
            port = parts.port or _PORTS[parts.scheme]
        except ValueError as e:
            raise AddressError(f"{target.url!r:.100} is no mail server: {e}") from e
        tls = TlsClient(Path(target.tls_ca)) if target.tls_ca else self._tls
        return MailLine(parts.hostname, port, _Context(tls), parts.scheme == "smtps", self._logins.get(target.name))


class MailLine:
    """Implements carriers.Line: one connection for each message."""

    def __init__(
        self, host: str, port: int, context: "_Context", tls_first: bool, login: tuple[str, Path] | None
    ) -> None:
        self._host, self._port, self._context, self._tls_first, self._login = host, port, context, tls_first, login
        self._socket: socket.socket | None = None

    def send(self, delivery: Delivery) -> None:
        mail = message_from_bytes(delivery.body)
        (_, sender), *_ = getaddresses([mail["From"]])
        to = [address for _, address in getaddresses(mail.get_all("To", []))]
        try:
            with self._connected() as smtp:
                if self._login:
                    user, file = self._login
                    smtp.login(user, read_secret(file).decode().strip())
                smtp.sendmail(sender, to, delivery.body)  # who is refused beside others is in the server's log
        except smtplib.SMTPRecipientsRefused as e:
            codes = {code for code, _ in e.recipients.values()}
            raise SendError(f"{self._host} takes no recipient: {codes}", refused=all(c >= 500 for c in codes)) from e
        except smtplib.SMTPAuthenticationError as e:
            raise SendError(f"{self._host} refuses the login ({e.smtp_code}); see username and password_file") from e
        except smtplib.SMTPResponseException as e:
            said = e.smtp_error if isinstance(e.smtp_error, str) else e.smtp_error.decode(errors="replace")
            raise SendError(f"{self._host} answers {e.smtp_code} {said[:200]}", refused=e.smtp_code >= 550) from e
        except (smtplib.SMTPException, OSError, KeyMaterialError) as e:
            raise SendError(f"{self._host} cannot be used: {e}") from e
        finally:
            self._socket = None

    def _connected(self) -> smtplib.SMTP:
        if self._tls_first:
            smtp: smtplib.SMTP = _Smtps(self._host, self._port, self._context, self._note)
            return smtp
        smtp = _Smtp(self._host, self._port, self._note)
        smtp.ehlo()
        context: Any = self._context  # has what smtplib uses of one
        if smtp.has_extn("starttls"):
            smtp.starttls(context=context)
            smtp.ehlo()
        elif not _is_here(self._host):
            smtp.close()
            raise SendError(f"{self._host} offers no STARTTLS; alarms do not travel in the clear")
        return smtp

    def _note(self, made: socket.socket) -> None:
        self._socket = made

    def cut(self) -> None:
        if (made := self._socket) is not None:
            with contextlib.suppress(OSError):
                made.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()


class _Smtp(smtplib.SMTP):
    """Tells of its socket, so that it can be cut."""

    def __init__(self, host: str, port: int, note: Any) -> None:
        self._note_socket = note
        super().__init__(host, port, timeout=TIMEOUT_S)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = socket.create_connection((host, port), timeout)
        self._note_socket(made)
        return made


class _Smtps(_Smtp):
    """TLS from the first byte."""

    def __init__(self, host: str, port: int, context: "_Context", note: Any) -> None:
        self._tls_context = context
        super().__init__(host, port, note)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made: socket.socket = self._tls_context.wrap_socket(
            super()._get_socket(host, port, timeout), server_hostname=host
        )
        return made


class _Context:
    """What smtplib uses of an `ssl.SSLContext`."""

    def __init__(self, tls: Any) -> None:
        self._tls = tls

    def wrap_socket(self, sock: socket.socket, *, server_hostname: str) -> Any:
        return _WithFile(self._tls.wrap_socket(sock, server_hostname=server_hostname))


class _WithFile:
    """A TLS socket that smtplib can read lines from."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Raw(self._inner))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Raw(io.RawIOBase):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        got = self._inner.recv(len(buffer))
        buffer[: len(got)] = got
        return len(got)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
