"""What peers endorsed and committed is worked out once more, away from Fabric: everything must be equal byte for byte.

The same contract runs over a dict, in the order of the chain: the answer, the event, and each key's new value. So calls
that were made at once are shown to have had the effect of one order, too.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from fabric_protos.ledger.rwset.kvrwset.kv_rwset_pb2 import KVRWSet
from fabric_protos.ledger.rwset.rwset_pb2 import TxReadWriteSet
from fabric_protos.peer.chaincode_event_pb2 import ChaincodeEvent

from chain.ledger.fabric import protos
from chain.ledger.fabric.transaction import Transaction, read_transaction
from chaincode.signed_call import open_call, unwrap
from chaincode.transaction import Caller
from tests.chaincode.memory import MemoryLedger, MemoryTransaction

Outcome = tuple[bytes, tuple[str, bytes] | None, dict[str, bytes]]  # answer, event, writes


def replay(world: str, envelopes: Iterable[bytes]) -> int:
    """Run this world's calls among the committed transactions again; how many there are."""
    ledger, count, prefix = MemoryLedger(), 0, f"{world}/"
    for envelope in envelopes:
        if prefix.encode() not in envelope:
            continue
        payload = protos.read(protos.common.Envelope, envelope, "an envelope").payload
        done = read_transaction(payload)
        if done.function.startswith(prefix):
            assert _again(ledger, done, prefix) == _committed(payload, prefix), done.function
            count += 1
    return count


def _again(ledger: MemoryLedger, done: Transaction, prefix: str) -> Outcome:
    authorisation = unwrap(done.args)[0] or b""
    key = open_call(authorisation, done.channel, done.tx_id, done.function, done.arguments)
    tx = MemoryTransaction(ledger.state, ledger.history, 0, Caller(key.kid, done.creator.msp_id))
    tx.id, tx.timestamp_us = done.tx_id, done.time_us
    answer = asyncio.run(ledger.run(tx, done.function.removeprefix(prefix), *done.arguments))
    return answer, tx.event, tx.writes


def _committed(payload: bytes, prefix: str) -> Outcome:
    transaction = protos.transaction.Transaction.FromString(protos.common.Payload.FromString(payload).data)
    action = protos.transaction.ChaincodeActionPayload.FromString(transaction.actions[0].payload).action
    response = protos.response.ProposalResponsePayload.FromString(action.proposal_response_payload)
    found: Any = protos.proposal.ChaincodeAction.FromString(response.extension)
    event = ChaincodeEvent.FromString(found.events)
    told = (event.event_name.removeprefix(prefix), event.payload) if found.events else None
    writes = {
        write.key.removeprefix(prefix): write.value
        for one in TxReadWriteSet.FromString(found.results).ns_rwset if one.namespace == found.chaincode_id.name
        for write in KVRWSet.FromString(one.rwset).writes
    }  # fmt: skip
    return found.response.payload, told, writes
