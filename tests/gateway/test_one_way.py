"""A one-way gateway under attack: who has a copy of everything it holds, all keys included, reads nothing of an old
epoch; one recipient is enough to read and to prove everything."""

import base64
import gc
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from chain.errors import ReceiptError, SealedError, StoreError
from chain.fsck import fsck
from chain.ledger.reading import open_reader
from chain.policies import site_policy
from chain.receipts import ReceiptBuilder
from chain.sealed.keys import encapsulation_key
from chain.site import Folder, SiteReader
from chain.store.epochs import _info
from chain.store.payloads import _place
from chain.verify import Outcome, verify_receipt
from chaincode.coldchain.policy import Direction, Limit, Policy
from chaincode.errors import ContractError
from crypto import hpke
from crypto.at_rest import AtRestKey
from crypto.envelope.header import KeyFinder
from crypto.errors import DecryptionError, KeyMaterialError, SealtrailError
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keystore.locked import Cost
from crypto.keystore.passphrase import Passphrase
from crypto.keystore.store import KeyStore
from gateway import open_command
from gateway.access import SourceSettings
from gateway.coldchain.errors import ShipmentError
from gateway.coldchain.shipping_order import Opening, WantedLogger
from gateway.config import ConfigError, load_config
from gateway.index import Index
from gateway.ingest.inbound import Verdict
from gateway.query.detail import record_detail
from gateway.query.records import RecordFilter, list_records
from gateway.query.view import View
from tests.gateway.test_erasing import everywhere, judged
from tests.support.fields import PRODUCTION
from tests.support.site import Site
from tests.support.source import INFERENCE as INFERENCE_KIND
from tests.support.source import PRODUCTION as PRODUCTION_KIND
from tests.support.source import Source, message

OK = Verdict.STORED
SECRET = "LOT-SECRET-77"
PASSPHRASE = "not to be guessed"
ENVIRONMENT = os.environ | {"SEALTRAIL_PASSPHRASE": PASSPHRASE}


@dataclass
class Hospital:
    """A site whose payloads are sealed to two recipients, whose keys lie in folders of their own."""

    root: Path
    a: Path
    b: Path
    public: list[Path]

    def site(self, **sealing: Any) -> Site:
        return Site(self.root, sealing={"recipients": self.public, "epoch_s": 3600} | sealing)


def new_pair(folder: Path, suite: KemSuite) -> Path:
    """A key store with one key, and its public key file."""
    named = KeyStore(folder, Passphrase(PASSPHRASE), cost=Cost(memory_kib=8, passes=1, lanes=1)).new("me", suite, 0)
    file = folder.with_suffix(".pub")
    file.write_bytes(named.to_json())
    return file


def keys_of(folder: Path) -> KeyFinder:
    return KeyStore(folder, Passphrase(PASSPHRASE)).decapsulation_key


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    folders, public = [], []
    for name, suite in (("a", KemSuite.X_WING), ("b", KemSuite.ML_KEM_1024)):
        folders.append(tmp_path / name)
        public.append(new_pair(folders[-1], suite))
    return Hospital(tmp_path / "site", *folders, public)


def pack(source: Source, lot: str = SECRET) -> bytes:
    return source.event(PRODUCTION | {"lot": lot}, kind=PRODUCTION_KIND)


def fill(site: Site) -> Source:
    """Records 0 to 2, and a seal; a refused message; then 4, which no seal covers yet."""
    line = site.enrol("line-3")
    assert site.send(line, message([pack(line) for _ in range(3)], line.seal())) is OK
    refused = PRODUCTION | {"lot": SECRET, "gtin": SECRET}
    assert site.send(line, message([line.event(refused, kind=PRODUCTION_KIND)])) is Verdict.REJECTED
    line.seq -= 1
    assert site.send(line, message([pack(line)])) is OK
    site.drain()
    return line


def index_of(folder: Folder) -> None:
    with closing(SiteReader.open(folder)) as reader, closing(Index(folder)) as index:
        while index.follow(reader):
            pass


def candidates(folder: Path) -> Iterator[bytes]:
    """Everything in a data directory that could be a key: each 32 bytes of the files of keys/, also of what is base64
    there, and of the tables that hold keys, as they are and opened by the site key."""
    found = [(folder / "first-token").read_bytes()]
    for file in sorted((folder / "keys").iterdir()):
        found.append(file.read_bytes())
        if file.suffix == ".pem":
            found.append(base64.b64decode(b"".join(file.read_bytes().splitlines()[1:-1])))
    site_key = AtRestKey((folder / "keys" / "site.key").read_bytes())
    with closing(sqlite3.connect(folder / "site.db")) as db:
        for name, value in db.execute("SELECT name, wrapped_key FROM subject").fetchall():
            found.append(value)
            with suppress(DecryptionError):
                found.append(site_key.open(value, b"sealtrail/subject-key/v1\x00" + name.encode()))
        found += [row[0] for row in db.execute("SELECT body FROM sealed_key").fetchall()]
    for value in found:
        yield from (value[at : at + 32] for at in range(len(value) - 31))


def opened_by_anything(folder: Path) -> list[int]:
    """First leaves of the segments that some key in the directory opens."""
    with closing(sqlite3.connect(folder / "site.db")) as db:
        query = "SELECT first_leaf, count, name, body FROM segment JOIN subject u ON u.id = subject"
        segments = db.execute(query).fetchall()
    opened, keys = set[int](), list(map(AtRestKey, dict.fromkeys(candidates(folder))))
    assert len(keys) > 3000
    for first, count, name, body in segments:
        for key in keys:
            with suppress(DecryptionError):
                assert key.open(body, _place(first, count, name))
                opened.add(first)
    return sorted(opened)


def test_a_copy_of_everything_reads_nothing_of_what_was_written(hospital: Hospital) -> None:
    with Site(hospital.root) as site:  # not sealed: here the search does find the key
        line = site.enrol("before")
        assert site.send(line, message([pack(line, "LOT-OPEN-1")])) is OK
    with hospital.site() as site:
        fill(site)
        index_of(site.folder)
        stolen = Path(shutil.copytree(site.folder.root, hospital.root.with_name("stolen")))
    # 1. No file says it, neither index nor dead letters.
    assert everywhere(stolen, SECRET.encode()) == []
    assert everywhere(stolen, b"LOT-OPEN-1") != []
    # 2. No key in it opens a segment.
    assert opened_by_anything(stolen) == [0]
    # 3. No key of it, as a seed, is one of the recipients'.
    kids = {encapsulation_key(path).kid for path in hospital.public}
    seeds = set(list(candidates(stolen))[:200])
    assert not kids & {KemPrivateKey(KemSuite.X_WING, seed).public.kid for seed in seeds}
    # 4. The site's own programs say so.
    with closing(SiteReader.open(Folder(stolen))) as reader, pytest.raises(SealedError, match="sealed to the holders"):
        reader.payloads.segment_of(1)
    assert fsck(Folder(stolen)).sealed == 4


def test_the_gateway_goes_on_without_reading(hospital: Hospital) -> None:
    with hospital.site() as site:
        line = fill(site)
        assert site.send(line, message([line.events[0]])) is OK  # a repeat, known by its number
        assert site.send(line, message([], line.seal())) is OK  # a seal over stored events
        site.drain()
        index_of(site.folder)
        policy = site_policy(site.folder)
        with closing(SiteReader.open(site.folder)) as reader, closing(open_reader(site.folder)) as ledger:
            builder = ReceiptBuilder(reader, ledger)
            report = verify_receipt(builder.build(0), policy)
            assert report.outcome is Outcome.VALID
            assert "sealed to" in report.steps[3].text
            assert (report.event, report.fields) == (None, ())
            with pytest.raises(ReceiptError, match="sealed to the holders of"):
                builder.build(0, ["lot"])
        view = View.open(site.folder)
        page = list_records(view, RecordFilter(source="line-3", kind="production"), 10, None, payloads=True)
        assert len(page.records) == 4
        detail = record_detail(view, 0)
        assert (detail.content, detail.erased, len(detail.sealed_to)) == (None, False, 2)
        view.close()
        with closing(sqlite3.connect(site.folder.index)) as index:
            assert index.execute("SELECT COUNT(*) FROM mention").fetchone() == (0,)
            assert index.execute("SELECT COUNT(*) FROM term").fetchone() == (0,)
        (letter,) = site.dead_letters()
        assert (letter.head, SECRET in letter.reason) == (b"", False)
        report = fsck(site.folder)
        assert (report.events, report.seals, report.sealed) == (4, 2, 4)


@pytest.mark.parametrize("who", ["a", "b"])
def test_one_recipient_is_enough_to_read_and_to_prove(hospital: Hospital, who: str) -> None:
    with hospital.site() as site:
        fill(site)
        policy = site_policy(site.folder)
    copy = Path(shutil.copytree(hospital.root, hospital.root.with_name("copy")))
    shutil.rmtree(copy / "keys")  # a recipient is not given the site's keys
    keys = keys_of(hospital.a if who == "a" else hospital.b)
    folder = Folder(copy)
    with closing(SiteReader.open(folder, keys)) as reader, closing(open_reader(folder)) as ledger:
        builder = ReceiptBuilder(reader, ledger)
        whole, one = builder.build(1), builder.build(1, ["lot"])
    assert verify_receipt(whole, policy).outcome is Outcome.VALID
    assert dict(verify_receipt(one, policy).fields) == {"lot": SECRET}
    assert one.event is None
    command = [sys.executable, "-m", "sealtrail", "open-records", "--data", copy, "--keys", hospital.a.with_name(who)]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["id"], line["fields"]["lot"]) for line in lines] == [(n, SECRET) for n in ("0", "1", "2", "4")]
    assert fsck(Folder(hospital.root), keys=keys).sealed == 0


def test_a_strangers_key_opens_nothing(hospital: Hospital, tmp_path: Path) -> None:
    with hospital.site() as site:
        fill(site)
    new_pair(tmp_path / "c", KemSuite.X_WING)
    command = ["open-records", "--data", str(hospital.root), "--keys", str(tmp_path / "c")]
    done = subprocess.run([sys.executable, "-m", "sealtrail", *command], capture_output=True, text=True, check=False,
                          env=ENVIRONMENT)  # fmt: skip
    assert done.returncode == 1
    assert "none of these keys opens anything" in done.stderr


def at_rest_keys() -> int:
    gc.collect()
    return sum(isinstance(thing, AtRestKey) for thing in gc.get_objects())


def test_after_the_epoch_nothing_in_the_process_refers_to_its_keys(hospital: Hospital) -> None:
    with hospital.site() as site:
        payloads = site.gateway.committer._site.payloads
        before = at_rest_keys()
        now = [0.0]
        payloads._epochs._clock = lambda: now[0]
        line = fill(site)
        assert at_rest_keys() == before + 1
        now[0] = 3599.0
        assert site.send(line, message([pack(line)])) is OK
        assert at_rest_keys() == before + 1
        now[0] = 3600.0
        site.wait(lambda: not payloads._epochs._keys)  # the committer looks between batches
        assert at_rest_keys() == before
        assert site.send(line, message([pack(line)], line.seal())) is OK
        site.drain()
        with closing(sqlite3.connect(site.folder.database)) as db:
            epochs = db.execute("SELECT DISTINCT first_leaf FROM sealed_key ORDER BY 1").fetchall()
        assert epochs == [(0,), (6,)]
        with closing(SiteReader.open(site.folder, keys_of(hospital.b))) as reader:
            for leaf in (0, 4, 5, 6):
                assert reader.payloads.segment_of(leaf) is not None


def test_a_start_begins_a_new_epoch(hospital: Hospital) -> None:
    for _ in range(3):
        with hospital.site() as site:
            site.plain(f"meter-{site.gateway._log_size()}")
            assert site.send("meter-0", b'[{"n":"t","v":1}]', plain="reading") is OK
    with closing(sqlite3.connect(hospital.root / "site.db")) as db:
        assert db.execute("SELECT COUNT(DISTINCT first_leaf) FROM sealed_key").fetchone() == (3,)
    assert fsck(Folder(hospital.root), keys=keys_of(hospital.a)).events == 3


def test_what_was_written_before_stays_readable_and_what_comes_after_recipients_are_gone_too(
    hospital: Hospital,
) -> None:
    with Site(hospital.root) as site:
        line = site.enrol("line-3")
        assert site.send(line, message([pack(line)])) is OK
    with hospital.site() as site:
        assert site.send(line, message([pack(line)])) is OK
    with Site(hospital.root) as site:
        assert site.send(line, message([pack(line)])) is OK
        site.drain()
    folder = Folder(hospital.root)
    with closing(SiteReader.open(folder)) as reader:
        assert reader.payloads.segment_of(0)
        assert reader.payloads.segment_of(2)
        with pytest.raises(SealedError):
            reader.payloads.segment_of(1)
    assert fsck(folder).sealed == 1


def test_erasing_what_is_sealed(hospital: Hospital) -> None:
    """Recipients with an older copy keep what they have; from this folder even they read nothing any more."""
    with hospital.site() as site:
        model = site.enrol("model", SourceSettings())
        events = [model.event(judged(who, "finding"), kind=INFERENCE_KIND) for who in ("p-1", "p-2", "p-1")]
        assert site.send(model, message(events, model.seal())) is OK
        site.drain()
        with closing(sqlite3.connect(site.folder.database)) as db:
            columns = "wrapped_key, kid, body, first_leaf"
            query = f"SELECT {columns} FROM subject u JOIN sealed_key ON subject = u.id WHERE name = ?"
            rows = db.execute(query, ("person/p-1@",)).fetchall()
        keys = keys_of(hospital.a)
        lock, kid, body, first = next(row for row in rows if keys(row[1]))
        site.run(site.gateway.erase("p-1", "tester", "a test"))
        site.drain()
        assert everywhere(site.folder.root, b"p-1", lock, body[:24]) == []
        # Who kept a sealed key opens it with the lock, and without it nobody does.
        key = keys(kid)
        assert key
        assert hpke.open_sealed(key, body, _info("person/p-1@", lock, first))
        with pytest.raises(DecryptionError):
            hpke.open_sealed(key, body, _info("person/p-1@", bytes(32), first))
        report = fsck(site.folder, keys=keys)
        assert (report.erased, report.sealed, report.events) == (2, 0, 3)
        event = model.event(judged("p-1", "finding"), kind=INFERENCE_KIND)
        assert site.send(model, message([event], model.seal())) is OK
        site.drain()
        assert fsck(site.folder, keys=keys).erased == 3


ALTERED = {
    "a body": "UPDATE segment SET body = CAST(substr(body, 1, 40) || 'x' || substr(body, 42) AS BLOB)",
    "a sealed key": "UPDATE sealed_key SET body = CAST(substr(body, 1, 40) || 'x' || substr(body, 42) AS BLOB)",
    "a lock": "UPDATE subject SET wrapped_key = randomblob(32)",
    "a key of another epoch": "UPDATE sealed_key SET first_leaf = first_leaf + 1",
    "a name": "UPDATE subject SET name = 'other@'",
}


@pytest.mark.parametrize("statement", ALTERED.values(), ids=ALTERED.keys())
def test_recipients_find_what_was_altered(hospital: Hospital, statement: str) -> None:
    with hospital.site() as site:
        fill(site)
    with closing(sqlite3.connect(hospital.root / "site.db")) as db:
        assert db.execute(statement).rowcount
        db.commit()
    for keys in (hospital.a, hospital.b):
        with pytest.raises(SealtrailError):
            fsck(Folder(hospital.root), keys=keys_of(keys))
        reader = SiteReader.open(Folder(hospital.root), keys_of(keys))
        with closing(reader), pytest.raises(SealtrailError, match="altered"):
            list(open_command._events(reader, None))


def test_keys_and_settings_that_are_wrong_stop_the_start(hospital: Hospital, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="names a key twice"), Site(hospital.root, sealing={
        "recipients": hospital.public[:1] * 2}):  # fmt: skip
        pass
    with pytest.raises(KeyMaterialError), Site(hospital.root, sealing={"recipients": [tmp_path / "none.pub"]}):
        pass
    text = f'origin = "a/b"\ndata = "d"\n[sealing]\nrecipients = ["{hospital.public[0].name}"]\nepoch_s = 0\n'
    (tmp_path / "gateway.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"sealing\.epoch_s"):
        load_config(tmp_path / "gateway.toml")
    (tmp_path / "gateway.toml").write_text(text.replace("epoch_s = 0", "epoch_s = 60"))
    assert load_config(tmp_path / "gateway.toml").sealing.recipients == [tmp_path / hospital.public[0].name]


def test_a_dead_letter_says_nothing_of_what_was_refused(hospital: Hospital) -> None:
    readings = (
        b'[{"n":"t","u":"kPa","v":9.87654e307}]', b'[{"n":"t","bv":1.7987654e308,"v":1e308}]',
        b'[{"n":"t","v987654":1,"v987654":2}]', b'[{"n":"t","v987654_":1}]', b'[{"n":"t 987654","v":1}]',
        b'[{"n":"t","v":1,"t":9.87654e99}]', b'[{"n":"t","v":1,"t":-9.87654e9}]',
    )  # fmt: skip
    packs = ({"gtin": "09506000987654"}, {"expiry": "987654"}, {"expiry": "99987654"}, {"x987654": 1})
    with hospital.site() as site:
        site.plain("meter")
        line = site.enrol("line-3")
        for payload in readings:
            assert site.send("meter", payload, plain="reading") is Verdict.REJECTED
        for change in packs:
            event = line.event(PRODUCTION | change, kind=PRODUCTION_KIND)
            assert site.send(line, message([event])) is Verdict.REJECTED
            line.seq -= 1
        reasons = [letter.reason for letter in site.dead_letters()]
        assert [reason for reason in reasons if "987654" in reason or not reason] == []
        assert len(reasons) > 8
        assert everywhere(site.folder.root, b"987654") == []


def test_it_reports_no_shipment_and_its_custody_says_that_it_reads_no_events(hospital: Hospital) -> None:
    """Else a shipment would be nothing but gaps, and EPCIS events would be taken in and lead to nothing, in silence."""
    with hospital.site() as site:
        site.enrol("truck")
        supply = site.gateway.supply
        loggers, units = [WantedLogger("truck", "truck:temperature")], ["ab" * 32]
        for reporter in ("", site.folder.origin):
            wanted = Opening(Policy("test", (Limit(Direction.ABOVE, 8_000),)), "Pharmacy", loggers, units, reporter)
            with pytest.raises(ShipmentError, match="cannot read its loggers' readings"):
                site.run(supply.cold.open(wanted))
        # Another gateway may report for it: the contract is asked.
        wanted = replace(wanted, reporter="carrier.example/gw")
        with pytest.raises(ContractError, match=r"carrier\.example/gw"):
            site.run(supply.cold.open(wanted))
        assert "cannot read its EPCIS events" in supply.custody.problem
    with Site(hospital.root.with_name("plain")) as plain:
        assert not plain.gateway.supply.custody.problem
