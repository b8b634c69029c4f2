"""The client against a real network: results, refusals, conflicts, lost answers, events, evidence."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

import grpc
from google.protobuf import any_pb2

from chain.errors import LedgerError
from chain.ledger.fabric import connection
from chain.ledger.fabric.errors import CommitStatusError, EndorseError, EvaluateError, SubmitError
from chain.ledger.fabric.evidence import FabricEvidence
from chain.ledger.fabric.gateway import messages
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import Identity, read_identity
from chain.ledger.interface import LedgerEvent
from chaincode.errors import Code, ContractError
from tests.chain.ledger.fabric.proxy import Forward, proxied
from tests.chain.ledger.fabric.small_network import SmallNetwork, is_query
from tests.chain.ledger.fabric.test_evidence import verify
from tests.support.dead_network import forwarding

pytestmark = pytest.mark.fabric


def _with(small: SmallNetwork, act: Callable[[FabricLedger], Awaitable[None]], **more: Any) -> None:
    async def run() -> None:
        async with small.open(**more) as ledger:
            await act(ledger)

    asyncio.run(run())


async def _until(ledger: FabricLedger, after: int, last: str) -> list[LedgerEvent]:
    """Events behind `after` up to that of the transaction `last`."""
    found: list[LedgerEvent] = []
    async for event in ledger.events(after):
        found.append(event)
        if event.tx_id == last:
            break
    return found


def test_submit_and_evaluate(small: SmallNetwork) -> None:
    async def act(ledger: FabricLedger) -> None:
        first = await ledger.submit("put", b"key", b"1")
        second = await ledger.submit("put", b"key", b"2")
        assert (first.result, second.result) == (b"1", b"2")
        assert first.index < second.index
        assert await ledger.evaluate("get", b"key") == b"2"
        with pytest.raises(LedgerError, match="is a query"):
            await ledger.submit("get", b"key")

    _with(small, act)


def test_a_refusal_keeps_its_code(small: SmallNetwork) -> None:
    async def act(ledger: FabricLedger) -> None:
        for call in (ledger.submit, ledger.evaluate):
            with pytest.raises(ContractError, match=r"^not-enrolled: this key is not enrolled$") as caught:
                await call("refuse")
            assert caught.value.code is Code.NOT_ENROLLED

    _with(small, act)


def test_conflicts_are_tried_again_under_new_ids(small: SmallNetwork) -> None:
    async def act(ledger: FabricLedger) -> None:
        done = await asyncio.gather(*(ledger.submit("count", b"conflict") for _ in range(3)))
        assert sorted(one.result for one in done) == [b"1", b"2", b"3"]
        assert await ledger.evaluate("get", b"conflict") == b"3"

    _with(small, act)


def test_evidence_of_a_loser_is_not_to_be_had(small: SmallNetwork) -> None:
    """A transaction that stands in a block as invalid: orderers, client and endorsers signed it all the same."""

    async def act(ledger: FabricLedger) -> None:
        done = await asyncio.gather(*(ledger.submit("count", b"loser") for _ in range(3)))
        blocks = {one.index >> 20 for one in done}
        valid = {one.tx_id for one in done}
        places = [
            (number << 20 | position, tx_id)
            for number in blocks
            for position, tx_id in enumerate((await ledger._reader.block(number)).transaction_ids())
        ]
        losers = [index for index, tx_id in places if tx_id not in valid]
        assert losers, "the three did not meet in one block"
        with pytest.raises(LedgerError, match="does not say that this transaction was committed as valid"):
            await ledger.evidence(losers[0])

    _with(small, act)


def test_evidence(small: SmallNetwork) -> None:
    async def act(ledger: FabricLedger) -> None:
        done = await ledger.submit("put", b"proved", b"yes")
        evidence = FabricEvidence.decode(await ledger.evidence(done.index))
        pin = evidence.config_header.hash
        proved = verify(evidence, {pin})
        assert proved.transaction.tx_id == done.tx_id
        assert proved.attested_by == {"Org1MSP", "Org2MSP"}
        async with small.open("Org2", config_hashes={pin}) as other:
            assert (
                verify(FabricEvidence.decode(await other.evidence(done.index)), {pin}).transaction.args[1] == b"proved"
            )
        for nowhere in (done.index + 1000, done.index + (1000 << 20)):
            with pytest.raises(LedgerError):
                await ledger.evidence(nowhere)

    _with(small, act)


def test_a_configuration_that_is_not_pinned_is_not_used(small: SmallNetwork) -> None:
    async def act(ledger: FabricLedger) -> None:
        with pytest.raises(LedgerError, match="not pinned"):
            await ledger.submit("put", b"unpinned", b"1")

    _with(small, act, config_hashes={bytes(32)})


def test_events_from_any_place(small: SmallNetwork) -> None:
    async def act(ledger: FabricLedger) -> None:
        done = await asyncio.gather(*(ledger.submit("put", b"e%d" % n, b"%d" % n) for n in range(8)))
        order = sorted(done, key=lambda one: one.index)
        every = await _until(ledger, -1, order[-1].tx_id)
        assert [(e.index, e.tx_id) for e in every][-8:] == [(one.index, one.tx_id) for one in order]
        assert len({e.index for e in every}) == len(every)
        for n, one in enumerate(order[:-1]):
            rest = await _until(ledger, one.index, order[-1].tx_id)
            assert [e.tx_id for e in rest] == [later.tx_id for later in order[n + 1 :]]
            assert {e.name for e in rest} == {"put"}

    _with(small, act)


def test_events_survive_broken_streams(small: SmallNetwork) -> None:
    """The stream is cut after every answer: none missed, none doubled."""

    async def act() -> None:
        async with proxied(small) as (proxy, profile), FabricLedger(profile, is_query=is_query) as ledger:
            done = [await ledger.submit("put", b"cut", b"%d" % n) for n in range(3)]
            proxy.cut = 2
            found = await asyncio.wait_for(_until(ledger, done[0].index, done[-1].tx_id), 60)
            assert [event.tx_id for event in found] == [one.tx_id for one in done[1:]]
            assert len(proxy.named("ChaincodeEvents")) >= 2

    asyncio.run(act())


def test_events_go_on_after_a_connection_fell_silent(small: SmallNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the peer's machine loses its power: the connection stays open, and only unanswered pings show it."""
    quick = tuple((name, 2000 if name.endswith("_ms") else value) for name, value in connection.PINGS)
    monkeypatch.setattr(connection, "PINGS", quick)
    profile = small.write_profile()
    (peer,) = profile.peers

    async def act() -> None:
        async with forwarding(int(peer.address.rpartition(":")[2])) as forwarder, small.open() as other:
            through = msgspec.structs.replace(peer, address=f"127.0.0.1:{forwarder.port}")
            async with FabricLedger(msgspec.structs.replace(profile, peers=(through,)), is_query=is_query) as ledger:
                first = await other.submit("put", b"silent", b"1")
                events = ledger.events(first.index - 1)
                assert (await anext(events)).tx_id == first.tx_id
                forwarder.freeze()
                second = await other.submit("put", b"silent", b"2")
                assert (await asyncio.wait_for(anext(events), 30)).tx_id == second.tx_id
                await events.aclose()  # type: ignore[attr-defined]

    asyncio.run(act())


def test_events_end_with_the_ledger(small: SmallNetwork) -> None:
    async def act() -> None:
        ledger = small.open()
        last = await ledger.submit("put", b"end", b"1")

        async def read() -> list[LedgerEvent]:
            return [event async for event in ledger.events(last.index)]

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        await ledger.close()
        assert await asyncio.wait_for(reading, 10) == []
        with pytest.raises(LedgerError, match="closed"):
            await ledger.evaluate("get", b"end")

    asyncio.run(act())


@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_answer_commits_once(small: SmallNetwork, arrives: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first Submit is answered UNAVAILABLE, once after it reached the orderers and once before."""
    value = b"lost %d" % arrives
    monkeypatch.setattr("chain.ledger.fabric.submission.UNSURE_S", 1.0)

    async def act() -> None:
        async with proxied(small) as (proxy, profile):

            async def hook(name: str, request: bytes, forward: Forward, context: Any) -> bytes:
                if name == "Submit" and len(proxy.named("Submit")) == 1:
                    if arrives:
                        await forward()
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "lost by the test")
                return await forward()

            proxy.hook = hook
            async with FabricLedger(profile, is_query=is_query) as ledger:
                done = await ledger.submit("put", b"lost", value)
                sent = [messages.SubmitRequest.FromString(one).transaction_id for one in proxy.named("Submit")]
                assert sent == [done.tx_id] * (1 if arrives else 2)
                mark = await ledger.submit("put", b"mark", b"")
                every = await _until(ledger, -1, mark.tx_id)
                assert [event.tx_id for event in every if event.payload == value] == [done.tx_id]

    asyncio.run(act())


def test_orderers_that_refuse_all(small: SmallNetwork) -> None:
    async def act() -> None:
        async with proxied(small) as (proxy, profile):

            async def hook(name: str, request: bytes, forward: Forward, context: Any) -> bytes:
                if name == "Submit":
                    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no")
                return await forward()

            proxy.hook = hook
            async with FabricLedger(profile, is_query=is_query) as ledger:
                with pytest.raises(SubmitError, match="FAILED_PRECONDITION: no") as caught:
                    await ledger.submit("put", b"refused", b"1")
                sent = messages.SubmitRequest.FromString(proxy.named("Submit")[0])
                assert caught.value.tx_id == sent.transaction_id
                assert await ledger.evaluate("get", b"refused") == b""

    asyncio.run(act())


def test_no_commit_status(small: SmallNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain.ledger.fabric.gateway.COMMIT_S", 1.0)

    async def act() -> None:
        async with proxied(small) as (proxy, profile):

            async def hook(name: str, request: bytes, forward: Forward, context: Any) -> bytes:
                if name == "CommitStatus":
                    await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "never")
                return await forward()

            proxy.hook = hook
            async with FabricLedger(profile, is_query=is_query) as ledger:
                with pytest.raises(CommitStatusError, match="DEADLINE_EXCEEDED: never"):
                    await ledger.submit("put", b"silent", b"1")

    asyncio.run(act())


def test_a_dead_gateway_peer_is_passed_over(small: SmallNetwork) -> None:
    profile = small.write_profile()
    dead = msgspec.structs.replace(profile.peers[0], address="127.0.0.1:1")

    async def act() -> None:
        both = msgspec.structs.replace(profile, peers=(dead, *profile.peers))
        async with FabricLedger(both, is_query=is_query) as ledger:
            assert (await ledger.submit("put", b"over", b"1")).result == b"1"
        alone = msgspec.structs.replace(profile, peers=(dead,))
        async with FabricLedger(alone, is_query=is_query, patience_s=1.0) as ledger:
            with pytest.raises(EvaluateError, match="UNAVAILABLE"):
                await ledger.evaluate("get", b"over")

    asyncio.run(act())


def test_errors_name_the_peer(small: SmallNetwork) -> None:
    """An identity that the channel does not know."""
    identity = read_identity(small.write_profile("Org2"))
    ours = read_identity(small.write_profile("Org1"))

    async def act(ledger: FabricLedger) -> None:
        with pytest.raises(EvaluateError) as caught:
            await ledger.evaluate("get", b"key")
        assert caught.value.tx_id in str(caught.value)

    _with(small, act, identity=Identity(ours.creator, identity.sign))


def test_a_failed_function_is_an_endorse_error(small: SmallNetwork) -> None:

    async def act(ledger: FabricLedger) -> None:
        with pytest.raises(EndorseError, match="chaincode response 500, broken") as caught:
            await ledger.submit("break")
        assert {peer.msp_id for peer in caught.value.peers} <= {"Org1MSP", "Org2MSP"}
        assert caught.value.peers

    _with(small, act)


def _status_of(msp_id: str, message: str) -> bytes:
    """google.rpc.Status with what one peer said (gateway.ErrorDetail)."""
    packed = any_pb2.Any()
    packed.Pack(messages.ErrorDetail(address="peer.test:7051", msp_id=msp_id, message=message))
    detail: bytes = packed.SerializeToString()
    return bytes([0x1A, len(detail) & 0x7F | 0x80, len(detail) >> 7]) + detail  # field 3 and its length as a varint


@pytest.mark.parametrize(("msp_id", "kind"), [("Org1MSP", ContractError), ("Org2MSP", EndorseError)])
def test_another_partners_peer_cannot_refuse_for_the_contract(
    small: SmallNetwork, msp_id: str, kind: type[Exception]
) -> None:
    """It may be blocks behind: the call is tried again. A refusal of the client's own peer counts at once."""
    said = _status_of(msp_id, f"chaincode response 400, bad-proof: {'behind ' * 10}")

    async def act() -> None:
        async with proxied(small) as (proxy, profile):
            refusals = [10]

            async def hook(name: str, request: bytes, forward: Forward, context: Any) -> bytes:
                if name == "Endorse" and refusals[0]:
                    refusals[0] -= 1
                    context.set_trailing_metadata((("grpc-status-details-bin", said),))
                    await context.abort(grpc.StatusCode.ABORTED, "failed to collect enough transaction endorsements")
                return await forward()

            proxy.hook = hook
            async with FabricLedger(profile, is_query=is_query, patience_s=1.0) as ledger:
                with pytest.raises(kind, match="bad-proof: behind"):
                    await ledger.submit("put", b"behind", b"1")
                refusals[0] = 0 if kind is ContractError else 1
                assert (await ledger.submit("put", b"behind", b"2")).result == b"2"

    asyncio.run(act())
