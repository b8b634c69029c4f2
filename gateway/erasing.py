"""Erasing a subject at a gateway: the site's database, the settings that name a person, the record index.

On a stopped site the command does it, on a running one the gateway between two commits. Both resume what a crash cut
short. What is trusted: the data directory and whoever may call this.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from chain.erasing import destroy_tag, done, erased_name, finish, log_erasure, subject_named
from chain.erasure import PERSON
from chain.errors import StoreError
from chain.site import Folder, Lock, SiteWriter
from chain.store.erasures import StoredErasure
from gateway.access import Access
from gateway.events.follower import forget_events
from gateway.index.follower import forget_index
from gateway.pipeline.sources import SourceBook

if TYPE_CHECKING:
    from gateway.pipeline.committer import Committer

log = logging.getLogger(__name__)
TRIES = 5


def destroy(site: SiteWriter, access: Access, book: SourceBook | None = None) -> list[StoredErasure]:
    """Carry out what is logged, everywhere but in the record index. A person's pseudonym goes out of the settings of
    sources; what comes of them later is known by the mark that stands there."""
    return finish(site, partial(_forget, access, book))


def _forget(access: Access, book: SourceBook | None, name: str, tag: bytes) -> list[str]:
    """The sources that report of this person alone."""
    if not name.startswith(PERSON):
        return []
    access.erase(name.removeprefix(PERSON), erased_name(tag))
    if book is not None:
        book.erase(name, erased_name(tag))
    return [source for source, settings in access.settings().items() if settings.subject == erased_name(tag)]


def resume(folder: Folder, site: SiteWriter, access: Access) -> list[StoredErasure]:
    """Carry out every erasure that is logged and not done; nobody else may have the record index open."""
    erased = destroy(site, access)
    if erased:
        forget_indexes(folder)
        done(site, erased)
    return erased


def log_it(site: SiteWriter, subject: str, by: str, reason: str) -> None:
    """The log's entry, after which there is no way back."""
    log_erasure(site, subject_named(site, subject), by, reason, time.time_ns() // 1000)


def erase_stopped(folder: Folder, subject: str | None, by: str, reason: str, later: Sequence[bytes] = ()
                  ) -> list[StoredErasure]:  # fmt: skip
    """Erase on a site whose gateway does not run; without a subject only what is left to do. `later`: tags of subjects
    that were erased after this copy of the site was made."""
    with Lock(folder.root), closing(Access(folder)) as access:
        site = SiteWriter.open(folder)
        with closing(site.db):
            if subject is not None:
                log_it(site, subject, by, reason)
            for tag in later:
                _erase_later(folder, site, access, tag)
            return resume(folder, site, access)


def _erase_later(folder: Folder, site: SiteWriter, access: Access, tag: bytes) -> None:
    destroy_tag(site, tag, partial(_forget, access, None))
    forget_indexes(folder)


def forget_indexes(folder: Folder) -> None:
    """Empty the indexes of a site that nobody follows now; they are built again later."""
    forget_index(folder)
    forget_events(folder)


class Eraser:
    """Erases on a running gateway, one subject at a time."""

    def __init__(self, folder: Folder, committer: "Committer", access: Access, book: SourceBook) -> None:
        self._committer = committer
        self._destroy = partial(destroy, access=access, book=book)
        self._one_at_a_time = asyncio.Lock()
        # Another way where somebody follows the log for the index.
        self.forget_in_indexes: Callable[[], Awaitable[None]] = partial(asyncio.to_thread, forget_indexes, folder)

    async def erase(self, subject: str, by: str, reason: str) -> list[StoredErasure]:
        """Log it, carry it out everywhere, and note that it is done; a start goes on with what a crash cut short."""
        async with self._one_at_a_time:
            work = partial(log_it, subject=subject, by=by, reason=reason)
            await asyncio.to_thread(self._committer.between_commits, work)
            erased = await self._destroyed()
            await self.forget_in_indexes()
            await asyncio.to_thread(self._committer.between_commits, partial(done, erasures=erased))
        return erased

    async def _destroyed(self) -> list[StoredErasure]:
        """Carry out what is logged. A reader may be in the way of the journal for a while; a start tries it too."""
        for left in reversed(range(TRIES)):
            try:
                return await asyncio.to_thread(self._committer.between_commits, self._destroy)
            except StoreError as e:
                if not left:
                    raise
                log.warning("an erasure is not carried out yet: %s", e)
                await asyncio.sleep(1)
        raise AssertionError
