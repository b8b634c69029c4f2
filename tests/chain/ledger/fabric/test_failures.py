"""Processes die, freeze and are cut off while gateways anchor: nothing is lost and nothing doubled.

One network for all: the first partner has two peers, the second lives in a network namespace where that is possible.
What each failure costs is printed (pytest -rP shows it) and stands in docs/network.md.
"""

import asyncio
import collections
import contextlib
import dataclasses
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec
import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric.errors import ClockError, CommitStatusError
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import Profile, now_us, read_identity
from network.layout import Kind, Node
from network.lifecycle import status, up
from network.nodes.health import operations_page
from network.nodes.processes import Process
from network.topology import Organisation
from tests.chain.ledger.fabric.anchorers import Load, Partners
from tests.network.namespace import Namespace, namespace
from tests.network.networks import PARTNERS, RunningNetwork, need_fabric, running, topology
from tests.torture.scale import long_only

pytestmark = [pytest.mark.fabric, long_only]
PLANT, CARRIER, PHARMACY = PARTNERS
EACH = 3  # anchorers for each partner
HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def apart() -> Iterator[Namespace | None]:
    """Where the carrier's nodes run; None where namespaces cannot be made: then only the cut is skipped."""
    need_fabric()
    with contextlib.ExitStack() as stack:
        try:
            made: Namespace | None = stack.enter_context(namespace())
        except pytest.skip.Exception:
            made = None
        yield made


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, apart: Namespace | None) -> Iterator[RunningNetwork]:
    wanted = topology(tmp_path_factory.mktemp("failures"))
    plant, carrier, pharmacy = wanted.organisations
    plant = msgspec.structs.replace(plant, peers=2)
    with pytest.MonkeyPatch.context() as patched:
        if apart:
            plant, pharmacy = _at(plant, apart.outside), _at(pharmacy, apart.outside)
            carrier = _at(carrier, apart.inside)
            _start_inside(patched, apart)
        with running(msgspec.structs.replace(wanted, organisations=[plant, carrier, pharmacy])) as net:
            yield net


def _at(organisation: Organisation, host: str) -> Organisation:
    return msgspec.structs.replace(organisation, host=host)


def _start_inside(patched: pytest.MonkeyPatch, apart: Namespace) -> None:
    """The carrier's processes start in the namespace, where alone its address is."""
    start = Process.start

    def started(self: Process, command: Sequence[str], environment: dict[str, str]) -> None:
        inside = self.name.endswith(f".{CARRIER.lower()}")
        start(self, apart.command(list(command)) if inside else command, environment)

    patched.setattr(Process, "start", started)
    patched.setattr("network.nodes.starting.is_free", lambda port, host: True)


@pytest.fixture(scope="module")
def partners(network: RunningNetwork) -> Partners:
    return Partners(network.profiles)


def _node(network: RunningNetwork, name: str) -> Node:
    return next(node for node in network.layout.nodes if node.name == name)


def _signal(network: RunningNetwork, node: Node, number: signal.Signals) -> None:
    pid = Process(network.layout.run, node.name).pid()
    assert pid is not None, f"{node.name} does not run"
    os.kill(pid, number)


def _leader(network: RunningNetwork) -> Node:
    """The orderer that most orderers follow."""
    orderers = network.layout.of_kind(Kind.ORDERER)
    pages = [operations_page(node, "/metrics") or "" for node in orderers]
    named = [re.search(r"^consensus_BFT_leader_id{[^}]*} (\d+)$", page, re.MULTILINE) for page in pages]
    return orderers[int(collections.Counter(found[1] for found in named if found).most_common(1)[0][0]) - 1]


@contextlib.asynccontextmanager
async def _measured(load: Load, what: str) -> AsyncIterator[None]:
    """A failure happens in the block, and everybody goes on after it."""
    since, before = time.monotonic(), len(load.errors)
    yield
    await load.progress(2)
    told = collections.Counter(type(error).__name__ for error in load.errors[before:])
    pauses = ", ".join(f"{msp_id} {load.longest_pause(since, msp_id.lower()):.1f} s" for msp_id in PARTNERS)
    print(f"{what}: longest pauses {pauses}; unsure or refused: {dict(told) or 'none'}")
    for error in load.errors[before:]:
        print(f"    {error}"[:400])


def _run(network: RunningNetwork, act: "collections.abc.Coroutine[None, None, None]") -> None:
    """Run it, and see the whole network well afterwards."""
    asyncio.run(act)
    deadline = time.monotonic() + 60
    while {node.health for node in status(network.topology)} != {"healthy"}:
        assert time.monotonic() < deadline
        time.sleep(0.2)


async def _restart(network: RunningNetwork) -> None:
    await asyncio.to_thread(up, network.topology)


def test_the_leading_orderer_is_killed_and_comes_back(network: RunningNetwork, partners: Partners) -> None:
    async def act() -> None:
        async with partners.anchoring(EACH) as load:
            leader = _leader(network)
            async with _measured(load, "leading orderer killed"):
                _signal(network, leader, signal.SIGKILL)
            assert _leader(network) != leader
            async with _measured(load, "and restarted"):
                await _restart(network)

    _run(network, act())


def test_a_partners_only_peer_is_killed_and_comes_back(network: RunningNetwork, partners: Partners) -> None:
    async def act() -> None:
        async with partners.anchoring(EACH) as load:
            others = Load(load.ledgers, [one for one in load.anchorers if PHARMACY.lower() not in one.log.origin])
            async with _measured(load, "a partner's only peer killed and restarted"):
                _signal(network, _node(network, "peer0.pharmacymsp"), signal.SIGKILL)
                await others.progress(2)
                await _restart(network)
            assert [error for one in others.anchorers for error in one.errors] == []

    _run(network, act())


def test_the_gateway_peer_is_killed_and_the_other_one_takes_over(network: RunningNetwork, partners: Partners) -> None:
    """While transactions are being endorsed, submitted and asked for. The second time the peer that takes over was
    frozen and is blocks behind: nobody is shown the past."""
    first, second = _node(network, "peer0.plantmsp"), _node(network, "peer1.plantmsp")

    async def act() -> None:
        async with partners.anchoring(EACH) as load:
            ours = [one for one in load.anchorers if one.log.origin.startswith(PLANT.lower())]
            async with _measured(load, "gateway peer killed"):
                _signal(network, first, signal.SIGKILL)
            await _restart(network)
            _signal(network, first, signal.SIGSTOP)
            await load.progress(5)
            async with _measured(load, "gateway peer killed, the other one behind"):
                sizes = [one.size for one in ours]
                _signal(network, second, signal.SIGKILL)
                _signal(network, first, signal.SIGCONT)
                heads = await asyncio.gather(*(one.head(one.ledger) for one in ours))
                assert all(head.size >= size for head, size in zip(heads, sizes, strict=True))
            await _restart(network)
            assert load.errors == []

    _run(network, act())


def test_a_chaincode_server_is_killed_and_comes_back(network: RunningNetwork, partners: Partners) -> None:
    async def act() -> None:
        async with partners.anchoring(EACH) as load:
            async with _measured(load, "chaincode server killed and restarted"):
                _signal(network, _node(network, "chaincode.plantmsp"), signal.SIGKILL)
                await _restart(network)
            assert load.errors == []

    _run(network, act())


def test_nodes_that_freeze(network: RunningNetwork, partners: Partners, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway peer that takes calls and never answers, a partner's peer, and the leading orderer."""
    for name in ("EVALUATE_S", "ENDORSE_S", "SUBMIT_S", "ASK_S"):
        monkeypatch.setattr(f"chain.ledger.fabric.gateway.{name}", 2.0)

    async def act() -> None:
        async with partners.anchoring(EACH) as load:
            for node in (_node(network, "peer0.plantmsp"), _leader(network)):
                async with _measured(load, f"{node.name} frozen for 6 s"):
                    _signal(network, node, signal.SIGSTOP)
                    try:
                        await asyncio.sleep(6)
                    finally:
                        _signal(network, node, signal.SIGCONT)

    _run(network, act())


def test_a_partner_is_cut_off(network: RunningNetwork, partners: Partners, apart: Namespace | None) -> None:
    """Its peer, its orderer and its chaincode server see each other and nobody else."""
    if apart is None:
        pytest.skip("cutting a network needs root, iproute2 and the right to make network namespaces")

    async def act() -> None:
        async with partners.anchoring(EACH) as load:
            others = Load(load.ledgers, [one for one in load.anchorers if CARRIER.lower() not in one.log.origin])
            async with _measured(load, "a partner cut off for some seconds, and healed"):
                await asyncio.to_thread(apart.cut)
                try:
                    began = time.monotonic()
                    await asyncio.sleep(4)
                    await others.progress(2)
                    print(f"others went on within {time.monotonic() - began:.1f} s")
                finally:
                    await asyncio.to_thread(apart.heal)

    _run(network, act())


def test_clocks_that_are_wrong(network: RunningNetwork, partners: Partners) -> None:
    """An hour behind, and stopped some time ago: all peers refuse, and the error says so until the clock is right."""
    clocks = [now_us]

    def with_our_clock(profile: Profile) -> FabricLedger:
        def current() -> int:
            return clocks[-1]()

        identity = dataclasses.replace(read_identity(profile), now_us=current)
        return FabricLedger(profile, identity=identity)

    async def act() -> None:
        stopped = now_us() - 16 * 60 * 1_000_000
        for wrong in (lambda: now_us() - HOUR_US, lambda: stopped):
            async with partners.anchoring(1, with_our_clock) as load:
                clocks.append(wrong)
                while not all(one.errors for one in load.anchorers):
                    await asyncio.sleep(0.05)
                one = load.anchorers[0]
                with pytest.raises(
                    ClockError, match=r"incorrect timestamp .*, peer time .* set the clock that is wrong"
                ):
                    await one.head(one.ledger)
                clocks.pop()
                await load.progress(2)
            # The one whose transaction had just committed could not read its place any more.
            assert {type(error) for error in load.errors} <= {ClockError, CommitStatusError}
            assert all("set the clock that is wrong" in str(error) for error in load.errors)

    asyncio.run(act())


def test_an_orderer_is_lost_for_good(network: RunningNetwork, partners: Partners) -> None:
    async def act() -> None:
        async with partners.anchoring(EACH) as load:
            async with _measured(load, "one orderer of four lost for good"):
                lost = next(node for node in network.layout.of_kind(Kind.ORDERER) if node != _leader(network))
                _signal(network, lost, signal.SIGKILL)
            await load.progress(5)
            assert load.errors == []

    asyncio.run(act())
