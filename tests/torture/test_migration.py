"""A site changes its keys under load: nobody waits, nothing is lost, old evidence counts; and kill −9 in the midst."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from chain.fsck import fsck
from chain.policies import site_policy
from chain.policy import Policy, parse_policy
from chain.receipt import Receipt, parse_receipt
from chain.site import Folder
from chain.verify import Outcome, verify_receipt
from crypto.keys import Algorithm
from gateway.device.errors import DeviceError
from gateway.device.identity import load_identity
from gateway.device.rotation import rotate
from gateway.ingest.inbound import Verdict
from tests.e2e.programs import run, until
from tests.support.killing import steps_killed
from tests.support.site import Site as Here
from tests.support.site import receipts
from tests.support.source import message
from tests.torture.moments import wait
from tests.torture.publisher import Publisher, sending
from tests.torture.rig import Site
from tests.torture.scale import LONG, long_only, scaled
from tests.torture.verdict import require_whole

pytestmark = pytest.mark.timeout(0 if LONG else 600)
SUITES = ("ml-dsa-65", "ml-dsa-65-ed25519")


def migrate(site: Site, to: str, *options: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    token = site.gateway.token
    return run("keys", "migrate", "--to", to, "--url", site.gateway.url, "--token", token, *options, check=check)


def paced(site: Site) -> Publisher:
    """As fast as a machine that does more than this test can log and check."""
    publisher = site.publisher("alpha")
    publisher.pause_s = 0.01
    return publisher


def receipt(site: Site, record: int) -> Receipt:
    """Once it is anchored with its seal."""

    def found() -> Receipt | None:
        headers = {"Authorization": f"Bearer {site.gateway.token}"}
        answer = httpx.get(f"{site.gateway.url}/v1/records/{record}/receipt", headers=headers)
        if answer.status_code != 200:
            return None
        one = parse_receipt(answer.content)
        return one if one.seal else None

    got: Receipt = until(found, 60)
    return got


def more(publishers: list[Publisher]) -> None:
    """Wait until each has PUBACKs that it had not before."""
    before = [len(publisher.acknowledged) for publisher in publishers]
    wait(lambda: all(len(p.acknowledged) > n + 3 for p, n in zip(publishers, before, strict=True)))


def test_a_site_migrates_under_load_and_again(tmp_path: Path) -> None:
    """Ed25519 to ML-DSA, and on. One device stays connected, one is away through all of it and comes back."""
    with Site(tmp_path) as site:
        site.start()
        publishers = [paced(site)]
        stays, away = site.device("stays"), site.device("away")
        away.send()
        until(lambda: away.status().recorded and not away.status().buffered, 60)
        away.kill()
        stays.run()
        policies, made, pins = [site_policy(site.folder)], list[Receipt](), [load_identity(away.folder).gateway_key]
        with sending(publishers):
            more(publishers)
            made.append(receipt(site, 0))
            for suite in SUITES:
                acknowledged = stays.status().acknowledged
                done = json.loads(migrate(site, suite, "--json").stdout)
                assert done["algorithm"] == suite
                policies.append(site_policy(site.folder))
                made.append(receipt(site, 0))
                more(publishers)
                until(lambda before=acknowledged: stays.status().acknowledged > before + 30, 60)
                pins.append(load_identity(stays.folder).gateway_key)
        assert [pin.algorithm for pin in pins] == ["ed25519", *SUITES]
        assert len(set(pins)) == len(pins)  # the one that stays follows each time, without a new connection
        assert load_identity(away.folder).gateway_key == pins[0]
        for device in (stays, away):
            device.finish()
            assert load_identity(device.folder).gateway_key == pins[-1]
        _require_each_under_its_own(made, policies)
        _follow(site, policies, tmp_path)
        site.stop()
        require_whole(site.folder, publishers, [stays, away])
        site.start()
        assert httpx.get(f"{site.gateway.url}/readyz").status_code == 200
        site.stop()


def _require_each_under_its_own(receipts: list[Receipt], policies: list[Policy]) -> None:
    """All of one record that was there before the first change: the newest by the newest keys only."""
    for made, one in enumerate(receipts):
        for trusted, policy in enumerate(policies):
            outcome = verify_receipt(one, policy).outcome
            assert (outcome is Outcome.VALID) == (made == trusted), (made, trusted, outcome)


def _follow(site: Site, policies: list[Policy], folder: Path) -> None:
    """An auditor gets from the first policy to the last by the site's own public files."""
    (folder / "old.policy").write_text(policies[0].to_text())
    changes = sorted((site.data / "key-changes").iterdir())
    assert len(changes) == len(SUITES)
    run("policy", "follow", folder / "old.policy", *changes, "-o", folder / "new.policy")
    assert parse_policy((folder / "new.policy").read_bytes()) == policies[-1]
    run("policy", "follow", folder / "old.policy", changes[1], "-o", folder / "x", check=1)  # one is left out


def test_a_step_back_is_refused_unless_forced(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.start()
        migrate(site, "ml-dsa-65")
        before = site_policy(site.folder)
        assert "is weaker than the site's ml-dsa-65" in migrate(site, "ed25519", check=1).stderr
        assert site_policy(site.folder) == before
        site.stop()
        # Of a stopped site, and by force.
        run("keys", "migrate", "--to", "ed25519", "--data", site.data, "--force")
        assert site.folder.gateway_key().public.algorithm is Algorithm.ED25519
        fsck(site.folder)


def test_a_device_changes_its_own_key_while_others_send(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.start()
        other, device = site.device("other"), site.device("gadget")
        other.run(100)
        until(lambda: other.status().acknowledged > 20, 60)
        device.finish()
        rotate(site.gateway.url, device.folder, Algorithm.ML_DSA_44)
        device.finish()
        done = run("device", "rotate", "--url", site.gateway.url, "--folder", device.folder, "--algorithm",
                   "ml-dsa-65-ed25519", "--json")  # fmt: skip
        assert load_identity(device.folder).key.public.kid.hex() == json.loads(done.stdout)["key"]
        device.finish()
        before = other.status().acknowledged
        until(lambda: other.status().acknowledged > before, 60)
        other.finish()
        site.stop()
        require_whole(site.folder, [], [device, other])


def test_nothing_may_wait_under_the_key_that_a_device_leaves(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.start()
        device = site.device("gadget")
        url = site.gateway.url
        site.kill()
        few = device.folder.with_suffix(".few")
        run("device", "send", "--folder", device.folder, "--kind", "reading", "--drain", "0", few, check=1)
        with pytest.raises(DeviceError, match="send them first"):
            rotate(url, device.folder, Algorithm.ML_DSA_65)


def test_a_lost_answer_to_a_devices_change_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a device whose files are locked."""
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", "correct horse battery staple")
    with Site(tmp_path) as site:
        site.start()
        device = site.device("gadget")
        device.finish()
        kept = (device.folder / "key.pem").read_bytes()
        script = (
            "import os, signal, sys\nfrom gateway.device import rotation\nimport sealtrail\n"
            "rotation._take = lambda folder: os.kill(os.getpid(), signal.SIGKILL)\nsealtrail.main()\n"
        )
        command = [sys.executable, "-c", script, "device", "rotate", "--url", site.gateway.url, "--folder"]
        assert subprocess.run([*command, str(device.folder)], check=False, timeout=60).returncode == -signal.SIGKILL
        assert (device.folder / "key.pem").read_bytes() == kept
        few = device.folder.with_suffix(".few")
        waits = run("device", "send", "--folder", device.folder, "--kind", "reading", few, check=1)
        assert "run device rotate again" in waits.stderr  # the old key's seals would be refused
        run("device", "rotate", "--url", site.gateway.url, "--folder", device.folder)
        assert load_identity(device.folder).key.public.algorithm is Algorithm.ML_DSA_65
        device.finish()
        site.stop()
        require_whole(site.folder, [], [device])


@long_only
def test_killed_at_random_points_of_a_change(tmp_path: Path) -> None:
    """It goes on at the next start, or is as if it had never begun; nothing acknowledged is lost either way."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    with Site(tmp_path) as site:
        site.start()
        publishers, device = [paced(site)], site.device("gadget")
        device.run(100)
        with sending(publishers):
            for _ in range(scaled(2, 150)):
                more(publishers)
                asking = threading.Thread(target=_ask, args=(site.gateway.url, site.gateway.token))
                asking.start()
                time.sleep(rng.uniform(0.0, 0.4))
                site.kill()
                asking.join()
                site.start()
            until(lambda: not (site.data / "keys" / "next-suite").exists(), 60)
            more(publishers)
        device.finish()
        assert load_identity(device.folder).gateway_key == site.folder.gateway_key().public
        site.stop()
        require_whole(site.folder, publishers, [device])


def _ask(url: str, token: str) -> None:
    try:
        httpx.post(f"{url}/v1/keys/migrate", json={"to": "ml-dsa-65"}, headers={"Authorization": f"Bearer {token}"})
    except httpx.HTTPError:
        return  # it was killed


KILLED_AT = """
import sys
from contextlib import contextmanager
from pathlib import Path
from chain.store.database import Database
from tests.support.killing import kill_in_copies
from tests.support.site import Site

FILES = {"os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "os.mkdir"}
steps = None

def step():
    if steps:
        steps()

@contextmanager
def transaction(self):
    step()
    with commit(self) as tx:
        yield tx
    step()

def change(root, counted):
    global steps
    with Site(root) as site:
        steps = counted
        site.run(site.gateway.migrate("ml-dsa-65"))
        steps = None

sys.addaudithook(lambda event, args: step() if event in FILES else None)
commit, Database.transaction = Database.transaction, transaction
kill_in_copies(Path(sys.argv[1]), change, int(sys.argv[2]), int(sys.argv[3]))
"""


def test_killed_at_each_step_of_a_change(tmp_path: Path) -> None:
    """Before and after each file that is made, moved or deleted, and each commit of log and ledger."""
    with Here(tmp_path / "original") as here:
        source = here.enrol("logger")
        here.send(source, message(source.batch(3), source.seal()))
        here.drain()
        old = here.policy
        with receipts(here.folder) as builder:
            before = builder.build(0)
    payload = message(source.batch(1), source.seal())
    stride = scaled(5, 1)
    first = random.randint(1, stride)
    steps = steps_killed(KILLED_AT, tmp_path / "original", first, stride, timeout=300)
    outcomes = set[str]()
    assert steps > 25
    for at in range(first, steps, stride):
        killed = Folder.existing(tmp_path / f"at-{at}")
        if not (killed.keys / "next-promote").exists():  # else keys are on their way, and a start comes first
            assert fsck(killed).entries == 4
        with Here(tmp_path / f"at-{at}") as here:
            here.wait(lambda here=here: not here.gateway.migration.pending)
            suite = here.folder.key_folder.suite
            outcomes.add(suite)
            assert here.send("logger", payload) is Verdict.STORED
            here.drain()
            fsck(here.folder)
            with receipts(here.folder) as builder:
                after = builder.build(0)
            assert verify_receipt(after, here.policy).outcome is Outcome.VALID
            assert verify_receipt(before, old).outcome is Outcome.VALID
            assert (here.policy == old) == (suite == "ed25519")
            assert here.gateway._key.public == here.folder.gateway_key().public
    print(f"{steps} steps")
    assert outcomes == {"ed25519", "ml-dsa-65"}
