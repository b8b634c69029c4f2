"""Makes parts of a gateway from its configuration: whom payloads are sealed to, the committer, the anchorer; and the
first API token. Each part gets what it needs, and whoever calls starts it.
"""

import asyncio
import logging
from collections.abc import Callable

from chain.errors import StoreError
from chain.ledger.interface import Ledger
from chain.log.checkpoints import Checkpoints
from chain.log.publish import Publisher
from chain.log.quorum import WitnessQuorum
from chain.log.reader import LogReader
from chain.policy import parse_policy
from chain.sealed.keys import encapsulation_key
from chain.site import Folder, SiteWriter
from chain.store.database import Database
from chain.store.epochs import Sealing
from crypto import tokens
from crypto.files import write_durably
from crypto.note import NoteSigner
from gateway.access import Access, Scope
from gateway.anchoring import Anchorer
from gateway.closing import Closing
from gateway.config import LogConfig, PipelineConfig, SealingConfig
from gateway.door_options import read_file
from gateway.pipeline.admission import PlainNumbers
from gateway.pipeline.committer import Committed, Committer
from gateway.pipeline.disk import DiskBound
from gateway.pipeline.sources import SourceBook

log = logging.getLogger(__name__)
FIRST_TOKEN_FILE = "first-token"  # noqa: S105 - a file name


def sealing(settings: SealingConfig) -> Sealing | None:
    """To whom payloads are sealed, where this gateway shall not read them."""
    to = tuple(map(encapsulation_key, settings.recipients))
    if len({key.kid for key in to}) != len(to):
        raise StoreError("sealing.recipients names a key twice")
    for key in to:
        log.info("payloads are sealed to %s (%s) and cannot be read here", key.kid.hex()[:16], key.suite)
    return Sealing(to, settings.epoch_s) if to else None


def make_committer(
    settings: PipelineConfig, site: SiteWriter, book: SourceBook, disk: DiskBound, access: Access,
    on_commit: Callable[[Committed], None],
) -> Committer:  # fmt: skip
    return Committer(
        site, book, disk, PlainNumbers(access.next_boot()), loop=asyncio.get_running_loop(), on_commit=on_commit,
        late_after_us=int(settings.late_after_s * 1e6), queue_bytes=settings.queue_bytes,
        seal_overdue_s=settings.seal_overdue_s,
    )  # fmt: skip


def make_anchorer(
    settings: LogConfig, folder: Folder, ledger: Ledger, signers: tuple[NoteSigner, ...], closing: Closing, *,
    proofs_follow: bool,
) -> Anchorer:  # fmt: skip
    """With a connection of its own to the site's database."""
    db = Database(folder.database)
    closing.callback(db.close)
    publisher = Publisher(LogReader(db), Checkpoints(db), signers, _quorum(settings, folder, closing))
    made = Anchorer(
        db, publisher, ledger, checkpoint_s=settings.checkpoint_interval_s, anchor_s=settings.anchor_interval_s,
        proofs_follow=proofs_follow,
    )  # fmt: skip
    closing.push_async_callback(made.close)
    return made


def _quorum(settings: LogConfig, folder: Folder, closing: Closing) -> WitnessQuorum | None:
    if not settings.witness_policy:
        folder.witness_policy.unlink(missing_ok=True)
        return None
    text = read_file(settings.witness_policy)
    quorum = WitnessQuorum(parse_policy(text))
    closing.push_async_callback(quorum.close)
    write_durably(folder.witness_policy, text)  # exported with the site's own keys
    return quorum


def make_first_token(folder: Folder, access: Access) -> None:
    """Make the first API token, once, into a private file; its path is shown, never the token."""
    path = folder.root / FIRST_TOKEN_FILE
    if not access.has_tokens():
        token = tokens.new_token()
        write_durably(path, token.encode() + b"\n", mode=0o600)  # first, lest a crash leaves one that nobody knows
        access.add_token("first", frozenset(Scope), token)
        log.info("the first API token is in %s", path)
