"""Puts the sessions of a gateway together from its folder and its configuration."""

from collections.abc import Callable

from chain.site import Folder
from crypto.session.static import StaticKey
from gateway.config import SessionsConfig
from gateway.ingest.inbound import Sink
from gateway.pipeline.sources import SourceBook
from gateway.sessions.hub import Post, Sessions
from gateway.sessions.key import session_key
from gateway.sessions.limits import SessionLimits


def open_sessions(
    folder: Folder, settings: SessionsConfig, sink: Sink, book: SourceBook, post: Post,
    checkpoint: Callable[[], bytes], log_size: Callable[[], int],
) -> tuple[Sessions, StaticKey]:  # fmt: skip
    """Sessions before `sink`, and the key that devices pin."""
    key, serial = session_key(folder)
    static = StaticKey(folder.origin, serial, key.public)
    limits = SessionLimits(settings.renew_s, settings.max_sessions, per_second=settings.handshakes_per_second)
    announcement = static.announce(folder.gateway_key())
    sessions = Sessions(
        sink, book, key, announcement, post, limits=limits, checkpoint=checkpoint, log_size=log_size
    )  # fmt: skip
    return sessions, static
