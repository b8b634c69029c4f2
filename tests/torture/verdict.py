"""What must hold after any number of kills: no acknowledged event lost, none doubled, all consistent, one history.

Read from the files that the gateway left, not from what it says.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing

from chain.fsck import FsckReport, fsck
from chain.ledger.reading import open_reader
from chain.ledger.store import FILE
from chain.ledger.transaction_leaf import open_leaf
from chain.log.reader import LogReader
from chain.record import SEAL_KIND, Record
from chain.site import Folder, SiteReader
from chain.store.database import Database
from chaincode.log_records import AnchorAnswer, AnchorStatus
from chaincode.state import fork_key
from tests.torture.publisher import Publisher
from tests.torture.rig import DeviceProcess

Number = tuple[int, int]


def require_whole(folder: Folder, publishers: Sequence[Publisher], devices: Sequence[DeviceProcess]) -> FsckReport:
    """Everything at once; the report counts what was checked."""
    stored = _events(folder)
    for publisher in publishers:
        _require_published(publisher, stored.pop(publisher.source.name))
    for device in devices:
        _require_device(device, stored.pop(device.folder.name))
    assert not stored, f"events of sources that nobody enrolled: {sorted(stored)}"
    _require_quiet(folder)
    _require_one_history(folder)
    return fsck(folder)  # every anchored root is the log's root at that size


def _events(folder: Folder) -> dict[str, dict[Number, bytes]]:
    """Content hashes in the log by source and number; each number stands there once."""
    with closing(SiteReader.open(folder)) as reader:
        records = map(Record.decode, reader.entries.entries(0, reader.entries.size()))
        events = [(r.source, r.boot, r.seq, r.content_hash) for r in records if r.kind != SEAL_KIND]
    found: dict[str, dict[Number, bytes]] = {}
    for source, boot, seq, content_hash in events:
        found.setdefault(source, {})[boot, seq] = content_hash
    assert sum(map(len, found.values())) == len(events), "an event stands in the log twice"
    return found


def _require_published(publisher: Publisher, stored: dict[Number, bytes]) -> None:
    acknowledged = [seq for numbers in publisher.acknowledged for seq in numbers]
    assert sorted(acknowledged) == list(range(publisher.source.seq))  # all of it, each PUBACK once
    assert stored == {(1, seq): content_hash for seq, content_hash in enumerate(publisher.hashes)}


def _require_device(device: DeviceProcess, stored: dict[Number, bytes]) -> None:
    status = device.status()
    assert (status.buffered, status.waiting_seals, status.rejected) == (0, 0, 0)
    assert status.acknowledged == status.recorded == len(stored)
    assert device.kept.items() <= stored.items()  # what a killed process left on its disk came through
    for boot, count in Counter(boot for boot, _ in stored).items():
        assert all((boot, seq) in stored for seq in range(count)), f"a gap in boot {boot}"


def _require_quiet(folder: Folder) -> None:
    """Nothing was refused and nobody was alarmed: a kill is no attack."""
    with closing(SiteReader.open(folder)) as reader:
        assert reader.notices.dead_letters() == []
        assert reader.notices.alerts() == []


def _require_one_history(folder: Folder) -> None:
    """Anchored sizes rise strictly, each is a checkpoint of the ledger's state, and no fork was ever proved."""
    with closing(Database(folder.ledger / FILE, readonly=True)) as db:
        log = LogReader(db)
        anchors = [
            leaf for leaf in map(open_leaf, log.entries(0, log.size())) if leaf.request.function == "logs.anchor"
        ]
    answers = [AnchorAnswer.decode(anchor.result) for anchor in anchors]
    sizes = [answer.size for answer in answers]
    assert answers
    assert {answer.status for answer in answers} == {AnchorStatus.ANCHORED}
    assert sizes == sorted(set(sizes))
    with closing(open_reader(folder)) as ledger:
        first = fork_key(folder.origin, 0)
        assert ledger.values(first, first[:-20] + ":") == []
