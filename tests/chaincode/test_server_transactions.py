"""Transactions over a real gRPC stream: state, ranges, events, refusals, and many of them at once."""

import asyncio
import logging
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest

pytest.importorskip("grpc", reason="needs sealtrail[fabric]")
pytest.importorskip("fabric_protos", reason="needs sealtrail[fabric]")


from chaincode.errors import Code
from chaincode.identity_records import Identity
from chaincode.log_records import AnchorAnswer, AnchoredCheckpoint, AnchorStatus, ForkRecord
from chaincode.lots import packing
from chaincode.lots.unit_records import UnitRecord
from chaincode.server.call import MAX_TRANSIENT, MAX_TRANSIENT_BYTES
from chaincode.server.json_lines import JsonLines
from chaincode.server.wire import KeyModification, Kind, Message, Proposal
from chaincode.state import kid_key
from chaincode.transaction import Transaction, Version
from crypto import cbor
from tests.chaincode.scripted_peer import (
    TIME_S,
    ScriptedPeer,
    result,
)  # fmt: skip
from tests.chaincode.serving import (
    GATEWAY,
    LOG,
    ORIGIN,
    call,
    drive,
    failed,
    gateway_call,
    refused,
    start,
)
from tests.contract_suite.actors import Actor
from tests.contract_suite.companies import Lot, Unit, case, ids


def test_the_call_with_the_most_arguments_passes() -> None:
    """A pallet of as many cases as one may have."""
    lot = Lot(packing.MAX_CHILDREN)
    cases = [case(lot, i, i + 1) for i in range(lot.count)]
    pallet = Unit(inside := sorted(ids(cases)), inside)

    async def check(peer: ScriptedPeer) -> None:
        await start(peer)
        await peer.commit(gateway_call("logs.anchor", *LOG.anchor(0, 5)))
        proof = LOG.evidence(0, 5)
        await peer.commit(gateway_call("lots.commission", *lot.commission(proof)))
        for one in cases:
            await peer.commit(gateway_call("lots.pack", *one.pack(proof)))
        packed = UnitRecord.decode(await peer.commit(gateway_call("lots.pack", *pallet.pack(proof))))
        assert (packed.count, packed.contents, packed.level) == (lot.count, (lot.of(lot.count),), 1)
        shown = UnitRecord.decode(result(await peer.call(call("lots.unit", inside[0]))))
        assert shown.parent == pallet.unit_id

    drive(check)


def test_registers_under_its_package_id() -> None:
    async def check(peer: ScriptedPeer) -> None:
        assert peer.registered.result() == Message.FromString(b"").payload + b"\x12\x0esealtrail:0123"

    drive(check)


def test_the_contract_runs_from_bootstrap_to_an_anchored_checkpoint() -> None:
    async def check(peer: ScriptedPeer) -> None:
        await start(peer)
        message = gateway_call("logs.anchor", *LOG.anchor(0, 5))
        answer = await peer.call(message)
        anchored = AnchorAnswer.decode(result(answer))
        assert (anchored.status, anchored.root) == (AnchorStatus.ANCHORED, LOG.checkpoint(5).root)
        peer.state.update(peer.simulations[message.txid].writes)
        head = AnchoredCheckpoint.decode(result(await peer.call(call("logs.head", ORIGIN.encode()))))
        assert (head.size, head.tx_id, head.anchored_us) == (5, message.txid, TIME_S * 1_000_000 + 123_456)
        event = answer.chaincode_event
        assert (event.event_name, cbor.decode(event.payload, 999)) == (
            "logs.anchored", [ORIGIN, 5, LOG.checkpoint(5).root],
        )  # fmt: skip
        identity = Identity.decode(result(await peer.call(call("identities.get", GATEWAY.name.encode()))))
        assert identity.organisation == "Org1MSP"
        assert peer.state[kid_key(GATEWAY.key.public.kid)] == GATEWAY.name.encode()

    drive(check)


@pytest.mark.parametrize("page_size", [1, 2, 5, 100])
def test_ranges_come_in_pages(page_size: int) -> None:
    async def check(peer: ScriptedPeer) -> None:
        await start(peer)
        for number in range(5):
            thing = Actor(f"thing-{number}", ORIGIN)
            await peer.commit(gateway_call("identities.enrol", *thing.enrolment("source")))
        message = call("identities.list", b"source")
        assert cbor.decode(result(await peer.call(message)), 999) == [f"{ORIGIN}#thing-{n}" for n in range(5)]
        simulation = peer.simulations[message.txid]
        assert simulation.asked == [Kind.GET_STATE_BY_RANGE] + [Kind.QUERY_STATE_NEXT] * (4 // page_size)
        assert simulation.open == {}

    drive(check, page_size=page_size)


def test_a_range_that_is_left_early_is_closed() -> None:
    async def check(peer: ScriptedPeer) -> None:
        await start(peer)
        for size in range(1, 19):
            await peer.commit(gateway_call("logs.anchor", *LOG.anchor(size - 1, size)))
            await peer.commit(gateway_call("logs.anchor", *LOG.fork().anchor(size, size)))
        message = call("logs.forks", ORIGIN.encode())
        records = [ForkRecord.decode(item) for item in cbor.decode(result(await peer.call(message)), 2**21)]
        assert [record.size for record in records] == list(range(1, 17))
        assert peer.simulations[message.txid].open == {}
        assert peer.simulations[message.txid].asked[-1] == Kind.QUERY_STATE_CLOSE

    drive(check, page_size=2)


@pytest.mark.parametrize("page_size", [1, 2, 100])
def test_histories_come_in_pages_and_are_closed(page_size: int) -> None:
    async def first(tx: Transaction, function: str, args: Sequence[bytes]) -> bytes:
        async for version in tx.history("key"):
            return repr((version.tx_id, version.timestamp_us, version.value_hash)).encode()
        return b"none"

    async def everything(tx: Transaction, function: str, args: Sequence[bytes]) -> bytes:
        return repr([version async for version in tx.history("key")]).encode()

    async def either(tx: Transaction, function: str, args: Sequence[bytes]) -> bytes:
        return await (first if function == "first" else everything)(tx, function, args)

    async def check(peer: ScriptedPeer) -> None:
        assert result(await peer.call(call("first"))) == b"none"
        changes = [KeyModification(tx_id=str(n), value=b"%d" % n) for n in range(5)]
        changes[3] = KeyModification(tx_id="3", is_delete=True)
        for change in changes:
            change.timestamp.seconds, change.timestamp.nanos = TIME_S, 1999
        peer.history["key"] = changes
        at = TIME_S * 1_000_000 + 1
        versions = [Version(str(n), at, None if n == 3 else sha256(b"%d" % n).digest()) for n in range(5)]
        message = call("everything")
        assert result(await peer.call(message)) == repr(versions).encode()
        asked = peer.simulations[message.txid].asked
        assert asked == [Kind.GET_HISTORY_FOR_KEY] + [Kind.QUERY_STATE_NEXT] * (4 // page_size)
        early = call("first")
        assert result(await peer.call(early)) == repr(("0", at, sha256(b"0").digest())).encode()
        assert peer.simulations[early.txid].open == {}

    drive(check, invoke=either, page_size=page_size)


def test_200_concurrent_transactions_do_not_mix() -> None:
    async def echo(tx: Transaction, function: str, args: Sequence[bytes]) -> bytes:
        found = [await tx.get(f"{args[0].decode()}/{n}") for n in range(5)]
        await tx.put(args[0].decode(), tx.id.encode())
        tx.set_event("seen", args[0])
        return b"".join(value or b"?" for value in found)

    async def check(peer: ScriptedPeer) -> None:
        for number in range(200):
            peer.state |= {f"{number}/{n}": b"<%d.%d>" % (number, n) for n in range(5)}
        messages = [call("f", b"%d" % number) for number in range(200)]
        answers = await asyncio.gather(*map(peer.call, messages))
        for number, (message, answer) in enumerate(zip(messages, answers, strict=True)):
            assert answer.txid == message.txid
            assert result(answer) == b"".join(b"<%d.%d>" % (number, n) for n in range(5))
            assert answer.chaincode_event.payload == b"%d" % number
            assert peer.simulations[message.txid].writes == {str(number): message.txid.encode()}
        assert peer.strays == []

    drive(check, invoke=echo)


def test_refusals_carry_their_code() -> None:
    async def check(peer: ScriptedPeer) -> None:
        await start(peer)
        refused(await peer.call(gateway_call("logs.nothing")), Code.UNKNOWN_FUNCTION)
        refused(await peer.call(call("\N{SNOWMAN}" * 100)), Code.UNKNOWN_FUNCTION)
        refused(await peer.call(call("logs.head")), Code.ARGUMENT_COUNT)
        refused(await peer.call(call("logs.head", b"x" * 300)), Code.ARGUMENT_SIZE)
        refused(await peer.call(call("logs.head", b"\xff\xfe")), Code.MALFORMED)
        refused(await peer.call(call("identities.get", b"nobody")), Code.UNKNOWN_IDENTITY)
        refused(await peer.call(gateway_call("logs.anchor", LOG.note(3), bytes(32))), Code.BAD_PROOF)

    drive(check)


def test_a_contract_that_asks_twice_at_once_waits_its_turn() -> None:
    async def greedy(tx: Transaction, function: str, args: Sequence[bytes]) -> bytes:
        return b"".join(value or b"" for value in await asyncio.gather(*(tx.get(key) for key in "abc")))

    async def check(peer: ScriptedPeer) -> None:
        peer.state |= {"a": b"1", "b": b"2", "c": b"3"}
        assert result(await peer.call(call("f"))) == b"123"

    drive(check, invoke=greedy)


def test_transient_data_is_given_to_the_contract_and_logged_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    secret, name = b"a wrapped key, not for the ledger", "the name of it"

    async def use(tx: Any, function: str, args: Sequence[bytes]) -> bytes:
        if function == "write":
            tx.transient["more"] = b""
        if function == "raise":
            raise ValueError(secret, tx.transient)
        return repr(dict(tx.transient)).encode()

    async def check(peer: ScriptedPeer) -> None:
        assert result(await peer.call(call("f"))) == b"{}"
        message = call("f", transient={name: secret})
        assert result(await peer.call(message)) == repr({name: secret}).encode()
        for function in ("write", "raise"):
            assert secret.decode() not in failed(await peer.call(call(function, transient={name: secret})))
        large = {name: secret, "large": bytes(MAX_TRANSIENT_BYTES)}
        for transient in (large, {f"{n}": secret for n in range(MAX_TRANSIENT + 1)}):
            text = failed(await peer.call(call("f", transient=transient)))
            assert "transient data has at most" in text
            assert secret.decode() not in text

    caplog.set_level(logging.DEBUG)
    drive(check, invoke=use)
    lines = [JsonLines().format(record) + repr(vars(record)) for record in caplog.records]
    assert "TypeError" in "".join(lines)  # the mapping is read-only
    assert not any(word in line for line in lines for word in (secret.decode(), name))


def test_transient_data_that_cannot_be_read_is_answered() -> None:
    message = call("logs.head", ORIGIN.encode())
    proposal = Proposal.FromString(message.proposal.proposal_bytes)
    proposal.payload = b"\xff no protobuf"
    message.proposal.proposal_bytes = proposal.SerializeToString()

    async def check(peer: ScriptedPeer) -> None:
        assert "not what Fabric 2 and 3 send" in failed(await peer.call(message))

    drive(check)
