"""Which partner a receiving event names as the sender."""

from contextlib import closing

from chain.site import Folder, SiteReader
from crypto import cbor
from gateway.custody.partners import Partners
from gateway.epcis.event import read_event

_PARTIES = ("possessing_party", "owning_party", "location")


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
        named = {party.type: party.uri for party in reversed(event.sources)}
        for kind in (*_PARTIES, *named):
            if kind in named and (partner := self._partners.at(named[kind])):
                return partner.organisation
        return ""
