"""Which partner an event names: as the sender of what is received, or as the recipient of what is shipped."""

from collections.abc import Sequence
from contextlib import closing

from chain.site import Folder, SiteReader
from crypto import cbor
from gateway.custody.partners import Partner, Partners
from gateway.epcis.event import Typed, read_event

_PARTIES = ("possessing_party", "owning_party", "location")


def named(partners: Partners, parties: Sequence[Typed]) -> Partner | None:
    """The partner among sources or destinations: by custody first, then by ownership, then by place."""
    found = {party.type: party.uri for party in reversed(parties)}
    wanted = (found[kind] for kind in (*_PARTIES, *(one for one in found if one not in _PARTIES)) if kind in found)
    return next(filter(None, map(partners.at, wanted)), None)


class SenderOf:
    """Looks it up in the log, when it is asked for."""

    def __init__(self, folder: Folder, partners: Partners) -> None:
        self._folder, self._partners = folder, partners

    def __call__(self, leaf: int) -> str:
        """The organisation; empty where the event at this record names no partner, or was erased."""
        with closing(SiteReader.open(self._folder)) as reader:
            stored = reader.stored(leaf)
        if stored is None:
            return ""
        event = read_event(cbor.unpack(stored.event)[9])
        partner = named(self._partners, event.sources)
        return partner.organisation if partner else ""
