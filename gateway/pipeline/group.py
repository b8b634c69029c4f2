"""What one source adds in a batch: stretches of events in the order they came, seals, and what was known already."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from msgspec import Struct

from chain.event import SignedSeal
from chain.record import Authentication
from chain.seal import Seal
from chain.store.seals import SealState
from chaincode.identity_records import KeyRecord
from gateway.ingest.inbound import Inbound, Verdict
from gateway.pipeline.sources import EnrolledSource
from gateway.pipeline.stretch import AdmittedEvent, Growing, Stretch


class Judged(Struct, frozen=True):
    """What came of one source by one channel, with one read or with many: its messages, when each was received, and,
    once judged, a verdict for each."""

    inbounds: list[Inbound]
    payloads: list[bytes] = []
    received_us: list[int] = []
    verdicts: list[Verdict] = []

    @property
    def came(self) -> Inbound:
        """The first of them: source, door, channel and kind are the same for all."""
        return self.inbounds[0]

    def add(self, inbound: Inbound) -> None:
        self.inbounds.append(inbound)
        self.payloads.extend(inbound.payloads)
        self.received_us.extend([inbound.received_us] * len(inbound.payloads))

    def worsen(self, number: int, verdict: Verdict) -> None:
        """The worst verdict over a message's parts is the message's."""
        self.verdicts[number] = max(self.verdicts[number], verdict)

    def answer(self) -> None:
        """Tell the doors; on the event loop's thread."""
        at = 0
        for inbound in self.inbounds:
            inbound.done(self.verdicts[at : at + len(inbound.payloads)])
            at += len(inbound.payloads)


def together(inbounds: Iterable[Inbound]) -> list[Judged]:
    """Join what can be judged in one go; the order within a source and channel stays."""
    found: dict[tuple[str, str, str, str, bool, bool], Judged] = {}
    for came in inbounds:
        alike = (came.source, came.channel, came.kind, came.door, came.authenticated, came.session)
        found.setdefault(alike, Judged([])).add(came)
    return list(found.values())


class AdmittedSeal(Struct):
    """A verified seal that will be logged; `leaf` is its place once it is written. It came in message `number`."""

    signed: SignedSeal
    seal: Seal
    state: SealState
    judged: Judged
    number: int
    key: KeyRecord
    leaf: int = -1


class _Boot(Struct):
    """Stretches of one boot by their first numbers, in order; they do not overlap."""

    firsts: list[int] = []
    stretches: list[Stretch] = []


class Group(Struct):
    """All of one source, and what it may be told is stored."""

    source: EnrolledSource
    stretches: list[Stretch] = []  # in the order of arrival, which is that of the leaves
    seals: list[AdmittedSeal] = []
    known: list[tuple[int, int, bytes]] = []  # duplicates: boot, seq, content hash
    session: bool = False  # something of it came in a session, so the answer goes there
    _boots: dict[int, _Boot] = {}

    @property
    def count(self) -> int:
        """How many events."""
        return sum([stretch.count for stretch in self.stretches])

    def at(self, boot: int, seq: int) -> Stretch | None:
        """The stretch that holds this number."""
        return next(self._between(boot, seq, seq + 1), None)

    def overlaps(self, new: Stretch) -> bool:
        """Whether a number of a stretch is here already."""
        return any(True for _ in self._between(new.boot, new.first, new.first + new.count))

    def add(self, new: Stretch) -> None:
        """Add a stretch whose numbers are new."""
        self.stretches.append(new)
        boot = self._boots.get(new.boot)
        if boot is None:
            boot = self._boots[new.boot] = _Boot()
        at = bisect_right(boot.firsts, new.first)
        boot.firsts.insert(at, new.first)
        boot.stretches.insert(at, new)

    def add_event(self, e: AdmittedEvent) -> None:
        """Add an event whose number is new."""
        last = self.stretches[-1] if self.stretches else None
        if isinstance(last, Growing) and last.takes(e):
            last.add(e)
        else:
            new = Growing()
            new.add(e)
            self.add(new)

    def authenticate(self) -> None:
        """The events under a seal that holds, as far as they are here, are signed."""
        for boot, first, end in _runs([s.seal for s in self.seals if s.state is SealState.HOLDS]):
            for stretch in self._between(boot, first, end):
                stretch.authenticate(first, end - first, Authentication.SIGNED)

    def _between(self, boot: int, first: int, end: int) -> Iterator[Stretch]:
        """The stretches that hold any of these numbers."""
        known = self._boots.get(boot)
        if known is None:
            return
        for stretch in known.stretches[max(bisect_right(known.firsts, first) - 1, 0) :]:
            if stretch.first >= end:
                return
            if stretch.first + stretch.count > first:
                yield stretch


def _runs(seals: Iterable[Seal]) -> Iterator[tuple[int, int, int]]:
    """Boot, first number and end of what seals cover together."""
    boot, first, end = -1, 0, 0
    for seal in seals:
        if (seal.boot, seal.first) != (boot, end):
            if end > first:
                yield boot, first, end
            boot, first = seal.boot, seal.first
        end = seal.first + seal.count
    if end > first:
        yield boot, first, end
