"""What a seal says of its events: they are there, they are not those, or they are missing and a person is told."""

import asyncio
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from chain.fsck import fsck
from chain.record import SEAL_KIND, Authentication, RecordFlag
from chain.seal import Seal, seal_hash
from chain.store.seals import SealState, StoredSeal
from chaincode.identities import rotation
from crypto import labels
from crypto.errors import FormatError, SealtrailError
from crypto.keys import Algorithm, PrivateKey
from gateway.ingest.inbound import Inbound, Verdict
from tests.support.site import Site
from tests.support.source import Source, message

OK = Verdict.STORED


def stored_seals(site: Site, source: str = "logger") -> list[StoredSeal]:
    with site.reader() as reader:
        return [stored for _, stored in reader.seals.all() if stored.seal.source == source]


def states(site: Site, source: str = "logger") -> list[SealState]:
    return [stored.state for stored in stored_seals(site, source)]


def test_a_seal_with_its_events_makes_them_signed_and_a_later_one_does_not_rewrite_them(site: Site) -> None:
    source = site.enrol("logger")
    site.send(source, message(source.batch(2), source.seal()))
    site.send(source, message(source.batch(2)))
    site.send(source, message([], source.seal()))
    kinds = [r.authentication for r in site.records() if r.kind != SEAL_KIND]
    assert kinds == [Authentication.SIGNED] * 2 + [Authentication.SESSION] * 2
    assert states(site) == [SealState.HOLDS] * 2


def test_a_seal_over_missing_events_waits_and_holds_once_they_come(site: Site) -> None:
    source = site.enrol("logger")
    first, lost, last = source.batch(3)
    seal = source.seal()
    assert site.send(source, message([first, last], seal)) is OK
    assert states(site) == [SealState.PENDING]
    assert site.send(source, message([lost])) is OK
    assert states(site) == [SealState.HOLDS]
    assert site.alerts() == []
    site.drain()
    fsck(site.folder)


def test_events_that_come_in_the_same_batch_behind_their_seal_settle_it(site: Site) -> None:
    source = site.enrol("logger")
    raw, seal = source.batch(3), source.seal()
    sends = [message([], seal), message(raw[2:]), message(raw[:2])]
    assert site.send_all([site.inbound(source, one) for one in sends]) == [OK] * 3
    assert states(site) == [SealState.HOLDS]


def test_a_source_that_sealed_and_never_sent_an_event_leaves_a_whole_site(site: Site) -> None:
    source = site.enrol("logger")
    source.batch(3)
    assert site.send(source, message([], source.seal())) is OK
    assert states(site) == [SealState.PENDING]
    site.drain()
    assert fsck(site.folder).seals == 1


def test_a_gap_that_stays_is_told_once_with_its_numbers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.pipeline.watch.GAP_AFTER_S", 0.05)
    source = site.enrol("logger")
    raw = source.batch(10)
    assert site.send(source, message([raw[0], *raw[4:8]], source.seal())) is OK
    site.wait(lambda: site.alerts("gap"))  # nothing arrives meanwhile: the clock alone does it
    site.send(source, message(source.batch(1)))
    (alert,) = site.alerts("gap")
    assert (alert.source, alert.leaf) == ("logger", 5)
    assert alert.text == "boot 1: sealed events never arrived: 1 to 3, 8 to 9"
    assert site.send(source, message(raw)) is OK  # found after all, in one sweep with repeats
    assert states(site) == [SealState.HOLDS]
    assert len(site.alerts()) == 1


def test_a_clock_that_jumps_back_does_not_put_off_a_gap(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.pipeline.watch.GAP_AFTER_S", 0.05)
    source, now = site.enrol("logger"), time.time_ns
    source.batch(2)
    site.send(source, message([], source.seal()))
    monkeypatch.setattr(time, "time_ns", lambda: now() - 3600 * 10**9)
    site.wait(lambda: site.alerts("gap"))


def test_a_gap_told_before_a_restart_is_not_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.pipeline.watch.GAP_AFTER_S", 0.05)
    with Site(tmp_path / "site") as site:
        source, other = site.enrol("logger"), site.enrol("other")
        source.batch(2)
        site.send(source, message([], source.seal()))
        site.wait(lambda: site.alerts("gap"))
    with Site(tmp_path / "site") as again:
        other.batch(3)
        again.send(other, message([], other.seal()))
        again.wait(lambda: len(again.alerts("gap")) == 2)
        assert [a.source for a in again.alerts("gap")] == ["logger", "other"]


def _with_bytes_that_were_not_sealed(source: Source) -> tuple[list[bytes], bytes]:
    """Two events of which the gateway has others than the source sealed."""
    sent = source.batch(2)
    source.events[1] = Source(source.name, source.key, seq=1).event(7.5)
    return sent, source.events[1]


def test_a_seal_over_other_bytes_is_broken_flagged_and_alerted(site: Site) -> None:
    source = site.enrol("logger")
    sent, _ = _with_bytes_that_were_not_sealed(source)
    assert site.send(source, message(sent)) is OK
    assert site.send(source, message([], source.seal())) is OK
    assert states(site) == [SealState.BROKEN]
    record = site.records()[-1]
    assert (record.kind, record.flags, record.count) == (SEAL_KIND, RecordFlag.SEAL_BROKEN, 2)
    (alert,) = site.alerts("broken-seal")
    assert (alert.leaf, alert.source) == (2, "logger")
    assert site.send(source, message(source.batch(2), source.seal())) is OK  # the chain goes on
    assert states(site) == [SealState.BROKEN, SealState.HOLDS]
    site.drain()
    fsck(site.folder)


def test_a_waiting_seal_whose_events_turn_out_others_is_broken(site: Site) -> None:
    source = site.enrol("logger")
    sent, _ = _with_bytes_that_were_not_sealed(source)
    assert site.send(source, message(sent[:1], source.seal())) is OK
    assert states(site) == [SealState.PENDING]
    assert site.send(source, message(sent[1:])) is OK
    assert states(site) == [SealState.BROKEN]
    assert [a.leaf for a in site.alerts("broken-seal")] == [1]
    site.drain()
    fsck(site.folder)


def test_seals_of_many_boots_and_sources_interleaved(site: Site) -> None:
    sources = [site.enrol(f"source-{i}") for i in range(4)]
    for _ in range(3):
        messages = []
        for source in sources:
            messages += [message(source.batch(3)), message(source.batch(2), source.seal())]
            messages += [message(source.batch(1)), message([], source.seal())]
        order = [(s, m) for s, m in zip([s for s in sources for _ in range(4)], messages, strict=True)]
        assert set(site.send_all([site.inbound(s, m) for s, m in order])) == {OK}
        for source in sources:
            source.restart()
    for source in sources:
        found = stored_seals(site, source.name)
        assert [s.state for s in found] == [SealState.HOLDS] * 6
        assert all(a.seal.boot <= b.seal.boot for a, b in pairwise(found))
    site.drain()
    assert fsck(site.folder).seals == 24


# -- keys


def test_a_rotated_key_takes_over_at_its_place_in_the_log(site: Site) -> None:
    source = site.enrol("logger")
    site.send(source, message(source.batch(2), source.seal()))  # entries 0 to 2
    old, new = source.key, PrivateKey.generate(Algorithm.ML_DSA_65)
    site.rotate(source, new, from_index=5)
    site.send(source, message(source.batch(1)))  # entry 3
    assert _seal_with(site, source, new) is Verdict.REJECTED  # at entry 4 the new key does not count yet
    assert "does not count at entry 4" in site.dead_letters()[-1].reason
    assert _seal_with(site, source, old) is OK
    site.send(source, message(source.batch(1)))  # entry 5
    assert _seal_with(site, source, old) is Verdict.REJECTED  # and at entry 6 the old one does not any more
    assert "does not count at entry 6" in site.dead_letters()[-1].reason
    assert _seal_with(site, source, new) is OK
    site.drain()
    assert fsck(site.folder).seals == 3


def _seal_with(site: Site, source: Source, key: PrivateKey) -> Verdict:
    """Seal with this key: a new key begins a new chain. Remembered only where it was stored."""
    last = stored_seals(site, source.name)[-1].signed.seal
    trial = replace(source, key=key, previous=seal_hash(last) if Seal.decode(last).kid == key.public.kid else bytes(32))
    verdict = site.send(source, message([], trial.seal()))
    source.sealed = trial.sealed if verdict is OK else source.sealed
    return verdict


async def _stream_while_revoking(site: Site, source: Source, other: Source) -> None:
    def chunk() -> list[Inbound]:
        pairs = [(s, message(s.batch(2), s.seal())) for s in (other, source, other, source)]
        return [site.inbound(s, payload) for s, payload in pairs]

    async def stream() -> None:
        while not revoking.done():
            await site._send_all(chunk())

    revoking = asyncio.ensure_future(site.gateway.revoke(source.name, "stolen"))
    await stream()
    await revoking
    assert await site._send_all(chunk()) == [OK, Verdict.NOT_AUTHORIZED] * 2


def test_a_seal_is_never_logged_where_its_key_has_just_ended(site: Site) -> None:
    """Revocation against the commits in flight: whichever comes first, fsck and receipts must agree with it."""
    for round_ in range(6):
        source, other = site.enrol(f"stolen-{round_}"), site.enrol(f"honest-{round_}")
        site.run(_stream_while_revoking(site, source, other))
    site.drain()
    fsck(site.folder)  # every logged seal stands where its key counts


@pytest.mark.parametrize("kept", [0, 3])
def test_events_go_on_while_a_key_is_being_rotated(site: Site, kept: int) -> None:
    source, new = site.enrol("logger"), PrivateKey.generate(Algorithm.ED25519)
    messages = [site.inbound(source, message(source.batch(2))) for _ in range(40)]

    async def race() -> list[Verdict]:
        sending = asyncio.create_task(site._send_all(messages))
        await asyncio.sleep(0)
        said = rotation("logger", source.key.public, new.public, 10_000 + kept)
        signatures = source.key.sign(said, labels.KEY_ROTATION), new.sign(said, labels.KEY_ROTATION)
        await site.gateway.rotate("logger", "ed25519", new.public.raw, 10_000 + kept, *signatures)
        return await sending

    assert set(site.run(race())) == {OK}


def test_a_strangers_request_to_change_a_key_costs_no_seal(site: Site) -> None:
    """It needs no token, so nothing may be restricted before both signatures hold."""
    source, new = site.enrol("logger"), PrivateKey.generate(Algorithm.ED25519)
    site.send(source, message(source.batch(2), source.seal()))
    said = rotation("logger", source.key.public, new.public, 0)
    forged = new.sign(said, labels.KEY_ROTATION)

    async def stranger() -> None:
        for _ in range(30):
            with pytest.raises(SealtrailError):
                await site.gateway.rotate("logger", "ed25519", new.public.raw, 0, forged, forged)

    async def race() -> list[list[Verdict]]:
        asking, answers = asyncio.create_task(stranger()), []
        while not asking.done():
            answers.append(await site._send_all([site.inbound(source, message(source.batch(1), source.seal()))]))
        await asking
        return answers

    answers = site.run(race())
    assert len(answers) > 3
    assert all(answer == [OK] for answer in answers)
    assert site.dead_letters() == []


def test_a_key_may_change_at_an_entry_that_no_seal_of_it_has_reached(site: Site) -> None:
    """The log moves on while a device asks: what counts is where its own newest seal stands."""
    source, other, new = site.enrol("logger"), site.enrol("other"), PrivateKey.generate(Algorithm.ED25519)
    site.send(source, message(source.batch(2), source.seal()))
    for _ in range(5):
        site.send(other, message(other.batch(2), other.seal()))
    for taken in (0, 2):
        with pytest.raises(FormatError, match="sealed at or behind entry"):
            site.rotate(source, new, taken)
    site.rotate(source, new, 3)
    source.key = new
    assert site.send(source, message(source.batch(2), source.seal())) is OK
    site.drain()
    assert fsck(site.folder).seals == 7
