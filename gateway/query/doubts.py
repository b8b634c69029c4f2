"""Which records rest on a signature that is in doubt, because their source's key was in strange hands by then.

Reads what the site has of its ledger; the offline verifier says the same of a receipt, and proves it.
"""

from collections.abc import Collection
from contextlib import closing
from dataclasses import replace

from chain.ledger.reading import LedgerReader, open_reader
from chain.site import Folder, SiteReader
from chaincode.identity_records import Doubt, Identity, KeyRecord, source_handle
from chaincode.state import identity_key
from gateway.query.records import RecordRow

DOUBTFUL = "doubtful"


class Doubts:
    """For one list of records: the keys of each source are read once."""

    def __init__(self, ledger: LedgerReader, origin: str) -> None:
        self._ledger, self._origin = ledger, origin
        self._doubted: dict[str, tuple[KeyRecord, ...]] = {}

    def about(self, site: SiteReader, source: str, boot: int, seq: int) -> Doubt | None:
        """Why the seal over this event, or the seal of this number, is in doubt; None where it is not."""
        keys = self._keys(source)
        seal = site.seals.covering(source, boot, seq) if keys else None
        return next((doubt for key in keys if seal and (doubt := key.doubt_at(seal.leaf))), None)

    def _keys(self, source: str) -> tuple[KeyRecord, ...]:
        if source not in self._doubted:
            value = self._ledger.value(identity_key(source_handle(self._origin, source)))
            keys = Identity.decode(value).keys if value else ()
            self._doubted[source] = tuple(key for key in keys if key.doubt)
        return self._doubted[source]


def marked(
    rows: tuple[RecordRow, ...], site: SiteReader, folder: Folder, doubtful: Collection[str]
) -> tuple[RecordRow, ...]:
    """The rows; one that rests on a signature in doubt has the flag DOUBTFUL. `doubtful` names the sources that have
    such a key; the ledger is looked at for rows of these only."""
    if not any(row.source in doubtful for row in rows):
        return rows
    with closing(open_reader(folder)) as ledger:
        doubts = Doubts(ledger, folder.origin)
        return tuple([
            replace(row, flags=(*row.flags, DOUBTFUL))
            if row.source in doubtful and doubts.about(site, row.source, row.boot, row.seq) else row
            for row in rows
        ])  # fmt: skip
