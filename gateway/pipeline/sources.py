"""The enrolled sources as the pipeline knows them: settings, and the keys that the contract holds valid.

Trusted: what it is given comes from the contract and from the operator's settings. One dictionary lookup an
event; a source is replaced as a whole when it changes, so the pipeline's thread needs no lock.
"""

from dataclasses import dataclass, replace

from chain.erasure import ERASED, PERSON
from chaincode.identity_records import KeyRecord
from gateway.access import SourceSettings
from gateway.preprocess.kind import Limits

LimitTable = tuple[tuple[str, Limits], ...]


@dataclass(frozen=True, slots=True)
class EnrolledSource:
    """A source, its keys with their validity, the kinds it may report, its limits, and whom its payloads concern, where
    they do not say so themselves: the subject's name in the store."""

    name: str
    keys: tuple[KeyRecord, ...]
    kinds: frozenset[str]
    plain: bool
    limits: LimitTable
    changing: bool = False  # its next key is on the way
    person: str = ""
    session_required: bool = False  # nothing of it counts that came in no session

    @property
    def subject(self) -> str:
        return self.person or self.name

    def key(self, kid: bytes) -> KeyRecord | None:
        """The key of this id, whether or not it is valid where the log stands."""
        for known in self.keys:
            if known.key.kid == kid:
                return known
        return None

    @property
    def revoked(self) -> bool:
        """True where a source that had a key has none left that counts."""
        return not self.plain and not self.changing and (not self.keys or self.keys[-1].until is not None)


class SourceBook:
    """All enrolled sources by name."""

    def __init__(self, *, sessions_required: bool = False) -> None:
        """`sessions_required`: of every source that has a key."""
        self._sessions_required = sessions_required
        self._sources: dict[str, EnrolledSource] = {}
        self._doubtful: set[str] = set()

    def get(self, name: str) -> EnrolledSource | None:
        return self._sources.get(name)

    def put(self, name: str, keys: tuple[KeyRecord, ...], settings: SourceSettings) -> None:
        """Take over a source's present keys (by the contract's identities) and settings."""
        limits = tuple((limit.series, Limits(limit.low, limit.high, limit.unit)) for limit in settings.limits)
        kinds = frozenset(settings.kinds)
        person = settings.subject
        if person and not person.startswith(ERASED):
            person = PERSON + person
        required = not settings.allow_plain and (self._sessions_required or settings.session_required)
        self._sources[name] = EnrolledSource(
            name, keys, kinds, settings.allow_plain, limits, person=person, session_required=required
        )
        if any(key.doubt for key in keys):
            self._doubtful.add(name)  # doubt is never taken back

    def doubtful(self) -> tuple[str, ...]:
        """Names of the sources of which a key was declared to be compromised."""
        return tuple(sorted(self._doubtful))

    def erase(self, subject: str, marked: str) -> None:
        """All that these sources report concerns somebody who was erased; `marked` stands for him from now on."""
        for name, source in list(self._sources.items()):
            if source.person == subject:
                self._sources[name] = replace(source, person=marked)

    def block(self, name: str) -> None:
        """Let nothing of this source in until `put` says otherwise."""
        if source := self._sources.get(name):
            self._sources[name] = replace(source, keys=())

    def narrow(self, name: str, index: int) -> None:
        """Its key counts below this index only, until `put` brings the next one; its events still come in."""
        if (source := self._sources.get(name)) and source.keys:
            keys = (*source.keys[:-1], replace(source.keys[-1], until=index))
            self._sources[name] = replace(source, keys=keys, changing=True)

    def names(self) -> list[str]:
        return sorted(self._sources)
