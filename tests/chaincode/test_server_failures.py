"""Whatever goes wrong in the contract, at the peer or in what a client sent, the transaction is answered."""

import asyncio
import json
import logging
from collections.abc import Sequence

import pytest

pytest.importorskip("grpc", reason="needs sealtrail[fabric]")
pytest.importorskip("fabric_protos", reason="needs sealtrail[fabric]")


from chaincode.errors import Code, ContractError
from chaincode.server.json_lines import JsonLines
from chaincode.server.link import Limits
from chaincode.server.wire import Kind, Message, Proposal, SerializedIdentity
from chaincode.state import head_key
from chaincode.transaction import Transaction
from tests.chaincode.scripted_peer import (
    CHANNEL,
    Creator,
    ScriptedPeer,
    result,
    transaction,
)  # fmt: skip
from tests.chaincode.serving import (
    CREATOR,
    LOG,
    ORIGIN,
    call,
    drive,
    failed,
    gateway_call,
    refused,
    start,
)


def test_a_peers_error_is_an_error_to_the_contract_and_not_a_value() -> None:
    async def check(peer: ScriptedPeer) -> None:
        await start(peer)
        peer.refused.add(head_key(ORIGIN))
        assert failed(await peer.call(call("logs.head", ORIGIN.encode()))) == (
            "the peer refused GET_STATE: no ledger context"
        )
        anchor = gateway_call("logs.anchor", *LOG.anchor(0, 3))
        assert "GET_STATE" in failed(await peer.call(anchor))
        assert peer.simulations[anchor.txid].writes == {}
        peer.refused.clear()
        result(await peer.call(call("logs.head", ORIGIN.encode())))

    drive(check)


def test_nothing_empty_is_written() -> None:
    """Fabric would take it for a deletion."""

    async def empty(tx: Transaction, function: str, args: Sequence[bytes]) -> bytes:
        await tx.put(function, args[0])
        return b"written"

    async def check(peer: ScriptedPeer) -> None:
        for message in (call("key", b""), call("", b"value")):
            assert "never empty" in failed(await peer.call(message))
            assert peer.simulations[message.txid].asked == []
        assert result(await peer.call(call("key", b"value"))) == b"written"

    drive(check, invoke=empty)


def test_damaged_state_is_no_refusal() -> None:
    async def check(peer: ScriptedPeer) -> None:
        peer.state[head_key(ORIGIN)] = b"not a record"
        assert "cannot be read" in failed(await peer.call(call("logs.head", ORIGIN.encode())))

    drive(check)


SECRET = b"a patient's name"


@pytest.mark.parametrize(
    "thrown",
    [ValueError(SECRET), RecursionError(), MemoryError(), asyncio.CancelledError(), SystemExit(3), TimeoutError()],
)  # fmt: skip
def test_whatever_the_contract_raises_is_answered(thrown: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(tx: Transaction, function: str, args: Sequence[bytes]) -> bytes:
        await tx.put("a", b"1")
        if function == "raise":
            raise thrown
        return b"well"

    async def check(peer: ScriptedPeer) -> None:
        text = failed(await peer.call(call("raise", SECRET)))
        assert type(thrown).__name__ in text
        assert SECRET.decode() not in text
        assert result(await peer.call(call("go on"))) == b"well"

    caplog.set_level(logging.DEBUG)
    drive(check, invoke=broken)
    lines = [JsonLines().format(record) for record in caplog.records]
    assert SECRET.decode() not in "".join(lines)
    assert any(json.loads(line).get("outcome") == type(thrown).__name__ for line in lines)


def test_refusals_with_text_that_is_no_unicode_are_answered() -> None:
    async def odd(tx: Transaction, function: str, args: Sequence[bytes]) -> bytes:
        raise ContractError(Code.MALFORMED, "\ud800" * 5000)

    async def check(peer: ScriptedPeer) -> None:
        refused(await peer.call(call("f")), Code.MALFORMED)

    drive(check, invoke=odd)


def test_large_values_pass_and_large_transactions_are_refused() -> None:
    async def copy(tx: Transaction, function: str, args: Sequence[bytes]) -> bytes:
        value = await tx.get("large") or b""
        await tx.put("copy", value)
        return value

    async def check(peer: ScriptedPeer) -> None:
        peer.state["large"] = bytes(20 << 20)
        message = call("f")
        assert result(await peer.call(message)) == peer.state["large"]
        assert peer.simulations[message.txid].writes["copy"] == peer.state["large"]
        assert "at most 1048576 bytes" in failed(await peer.call(call("f", bytes(30 << 20))))
        assert "1 to 133 arguments" in failed(await peer.call(call("f", *[b""] * 133)))
        assert len(result(await peer.call(call("f")))) == 20 << 20

    drive(check, invoke=copy)


def test_transactions_that_contradict_themselves_are_answered() -> None:
    nobody = Creator("Org1MSP", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    broken = [
        Message(type=Kind.TRANSACTION, txid="empty", channel_id=CHANNEL),
        Message(type=Kind.TRANSACTION, txid="garbage", channel_id=CHANNEL, payload=b"\xff\xff"),
        Message(type=Kind.INIT, txid="init", channel_id=CHANNEL),
        call("logs.head", b"a", creator=nobody), call("logs.head", b"a", creator=Creator("", CREATOR.pem)),
        transaction(CREATOR, []),
        call("logs.head", b"a", channel_id="another"), call("logs.head", b"a", txid="f" * 64),
    ]  # fmt: skip
    garbled = call("logs.head", b"a")
    garbled.proposal.proposal_bytes = Proposal(
        header=SerializedIdentity(mspid="x").SerializeToString() + b"\xff"
    ).SerializeToString()
    early = call("logs.head", b"a")

    async def check(peer: ScriptedPeer) -> None:
        answers = await asyncio.gather(*map(peer.call, [*broken, garbled]))
        assert all(map(failed, answers))
        refused(await peer.call(early), Code.UNKNOWN_LOG)

    drive(check)


def test_more_transactions_than_the_bound_are_sent_away() -> None:
    release = asyncio.Event()

    async def slow(tx: Transaction, function: str, args: Sequence[bytes]) -> bytes:
        await tx.get("here")
        await release.wait()
        return b"done"

    async def check(peer: ScriptedPeer) -> None:
        first = [await peer.begin(call("f")) for _ in range(3)]
        assert "busy with 3" in failed(await peer.call(call("f")))
        release.set()
        assert [result(await simulation.answer) for simulation in first] == [b"done"] * 3
        assert result(await peer.call(call("f"))) == b"done"

    drive(check, invoke=slow, limits=Limits(transactions=3))


def test_a_peer_that_falls_silent_does_not_hold_a_place_for_ever() -> None:
    async def check(peer: ScriptedPeer) -> None:
        peer.silent.add(head_key(ORIGIN))
        assert "TimeoutError" in failed(await peer.call(call("logs.head", ORIGIN.encode())))
        peer.silent.clear()
        refused(await peer.call(call("logs.head", ORIGIN.encode())), Code.UNKNOWN_LOG)

    drive(check, limits=Limits(transactions=1, seconds=0.3))
