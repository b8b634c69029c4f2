"""Seals on their way in: signature, place in their source's chain, and whether they cover the events that are here.

Takes untrusted seals; what `add` admits is verified. Owned by the committer; reads the store, writes nothing.
"""

import os
from concurrent.futures import ThreadPoolExecutor

from chain.event import SignedSeal
from chain.record import Record
from chain.seal import Seal, verify_seal
from chain.site import SiteWriter
from chain.store.seals import Placed, SealState, StoredSeal, expected_previous, state_of
from chaincode.identity_records import KeyRecord
from crypto.merkle import HASH_BYTES
from gateway.ingest.inbound import Verdict
from gateway.pipeline.ahead import Ahead
from gateway.pipeline.errors import ConflictError, RefusedError
from gateway.pipeline.group import AdmittedSeal, Group, Judged
from gateway.pipeline.hashes import RecentHashes
from gateway.pipeline.sources import EnrolledSource
from gateway.pipeline.stretch import CameSeal, hashes_between

MAX_CACHED = 10_000


class Sealing:
    """Checks seals against the store, the recent hashes and the batch that they came with."""

    def __init__(self, site: SiteWriter, recent: RecentHashes) -> None:
        self._site = site
        self._recent = recent
        self._newest: dict[str, StoredSeal | None] = {}  # by source, as stored
        self._pool = ThreadPoolExecutor(os.cpu_count(), "seals")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def ahead(self) -> Ahead:
        """To verify the signatures of a batch."""
        return Ahead(self._pool)

    def add(self, group: Group, judged: Judged, number: int, came: CameSeal, holds_under: KeyRecord | None = None
            ) -> bool:  # fmt: skip
        """Add a seal to its group; False where it is stored already. `holds_under`: the key under which its signature
        was verified already.

        Raises:
            RefusedError, SignatureError, FormatError: it will not be logged, with the reason.
        """
        _, encoded, signature, said, covers = came
        signed = SignedSeal(encoded, signature)
        draft = Seal(group.source.name, *said) if said else Seal.decode(encoded)
        # 1. The signature, under a key that the contract knows; Batch.place decides whether it still counts.
        if draft.source != group.source.name:
            raise RefusedError(f"{group.source.name} sent a seal in the name of {draft.source}", Verdict.NOT_AUTHORIZED)
        record = group.source.key(draft.kid)
        if record is None:
            raise RefusedError(f"{draft.source} has no key {draft.kid.hex()[:16]}…; was another one enrolled?")
        seal = draft if record is holds_under else verify_seal(signed, record.key)
        # 2. Its place in the source's chain.
        last = self._last(group)
        if last and (seal.boot, seal.first) <= (last.seal.boot, last.seal.first):
            self._require_same(group, seal, signed)
            return False
        _check_chain(last, seal)
        # 3. Whether its events are here and are those it covers.
        state = SealState.HOLDS if covers else self._state(group, seal)
        group.seals.append(AdmittedSeal(signed, seal, state, judged, number, record))
        return True

    def newest(self, source: str) -> StoredSeal | None:
        """The newest seal of a source that is stored."""
        if source not in self._newest:
            if len(self._newest) >= MAX_CACHED:
                self._newest.clear()
            self._newest[source] = self._site.seals.last(source)
        return self._newest[source]

    def remember(self, group: Group) -> None:
        """The group is committed."""
        if group.seals:
            last = group.seals[-1]
            self._newest[group.source.name] = StoredSeal(last.leaf, last.seal, last.signed, last.state)

    def resolve(self, stored: StoredSeal) -> SealState:
        """The present state of a seal whose events were not all there when it came."""
        span = stored.seal.span
        if self._site.ranges.missing(stored.seal.source, span):
            return SealState.PENDING
        return self._state(Group(EnrolledSource(stored.seal.source, (), frozenset(), False, ())), stored.seal)

    def _require_same(self, group: Group, seal: Seal, signed: SignedSeal) -> None:
        stored = self._site.seals.covering(seal.source, seal.boot, seal.first)
        fresh = [s.signed.seal for s in group.seals] + ([stored.signed.seal] if stored else [])
        if signed.seal not in fresh:
            raise ConflictError(f"{seal.source} sealed boot {seal.boot} from seq {seal.first} before, differently")

    def _last(self, group: Group) -> Placed | None:
        return group.seals[-1] if group.seals else self.newest(group.source.name)

    def _state(self, group: Group, seal: Seal) -> SealState:
        return state_of(seal, self._hashes(group, seal))

    def _hashes(self, group: Group, seal: Seal) -> bytes | None:
        """Content hashes of the sealed range from this batch, from memory or from the log; None if one is missing."""
        found: list[bytes] = []
        at, end = seal.first, seal.first + seal.count
        while at < end:
            fresh = group.at(seal.boot, at)
            known = self._recent.hashes_between
            piece = hashes_between(fresh, at, end) if fresh else known(seal.source, seal.boot, at, end)
            piece = piece or self._logged(seal, at)
            if not piece:
                return None
            found.append(piece)
            at += len(piece) // HASH_BYTES
        return b"".join(found)

    def _logged(self, seal: Seal, seq: int) -> bytes:
        leaf = self._site.ranges.leaf_of(seal.source, seal.boot, seq)
        return b"" if leaf is None else Record.decode(self._site.entries.entry(leaf)).content_hash


def _check_chain(last: Placed | None, seal: Seal) -> None:
    if last and last.seal.boot == seal.boot and seal.first != last.seal.first + last.seal.count:
        raise RefusedError(
            f"seals cover boots without holes: expected first {last.seal.first + last.seal.count}, got {seal.first}"
        )
    if (last is None or last.seal.boot != seal.boot) and seal.first != 0:
        raise RefusedError(f"the first seal of boot {seal.boot} must begin at 0, got {seal.first}")
    if seal.previous != expected_previous(last, seal):
        raise ConflictError(
            f"the seal of {seal.source} does not follow its last one: two devices with one key, or a lost seal"
        )
