"""The contract: one table of functions, and limits before anything else. Both ledgers call `invoke`.

Callers and arguments are untrusted. A call is deterministic: no clock, randomness, floats, set order or I/O.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from chaincode import exchange, exchange_queries, identities, kem_keys, log_rotation, logs, recovery
from chaincode.coldchain import ending, reports, shipments
from chaincode.coldchain import queries as cold_queries
from chaincode.coldchain.records import MAX_OPENING_BYTES
from chaincode.errors import Code, ContractError
from chaincode.evidence import MAX_EVIDENCE_BYTES
from chaincode.lots import ending as lot_ending
from chaincode.lots import exceptions, making, moving, packing, recalls
from chaincode.lots import queries as lot_queries
from chaincode.lots.records import MAX_INPUTS
from chaincode.transaction import Transaction
from crypto.errors import FormatError, KeyMaterialError, ProofError, SignatureError
from crypto.merkle import MAX_PROOF_HASHES

MAX_NOTE_ARGUMENT = 32 * 1024  # a gateway anchors the log's own signatures; witnesses' may stay outside
_SHORT = 256  # names, numbers, reasons
_HANDLE = 512  # an origin and a name
_KEYED = 8192  # an SLH-DSA-SHA2-128s signature has 7,856 bytes


@dataclass(frozen=True, slots=True)
class Function:
    """How a function is called: number of arguments, most bytes of each, and whether it only reads."""

    run: Callable[[Transaction, Sequence[bytes]], Awaitable[bytes]]
    least: int
    most: int
    longest: int
    query: bool = False


FUNCTIONS: Final = {
    "logs.register": Function(logs.register, 2, 1 + logs.MAX_LOG_KEYS, _KEYED),
    "logs.anchor": Function(logs.anchor, 1, 1 + MAX_PROOF_HASHES, MAX_NOTE_ARGUMENT),
    "logs.rotate": Function(log_rotation.rotate, 2, 2 + 2 * logs.MAX_LOG_KEYS, MAX_NOTE_ARGUMENT),
    "logs.get": Function(logs.get, 1, 1, _SHORT, query=True),
    "logs.head": Function(logs.head, 1, 1, _SHORT, query=True),
    "logs.checkpoint": Function(logs.checkpoint, 2, 2, _SHORT, query=True),
    "logs.forks": Function(logs.forks, 1, 1, _SHORT, query=True),
    "identities.bootstrap": Function(identities.bootstrap, 5, 5, _KEYED),
    "identities.enrol": Function(identities.enrol, 7, 7, _KEYED),
    "identities.rotate": Function(identities.rotate, 6, 6, _KEYED),
    "identities.revoke": Function(identities.revoke, 4, 5, _SHORT),
    "identities.recovery": Function(recovery.set_key, 5, 5, _KEYED),
    "identities.recover": Function(recovery.recover, 6, 7, _KEYED),
    "identities.get": Function(identities.get, 1, 1, _SHORT, query=True),
    "identities.history": Function(identities.history, 1, 2, _SHORT, query=True),
    "identities.list": Function(identities.listing, 1, 2, _SHORT, query=True),
    "kem.publish": Function(kem_keys.publish, 4, 4, _KEYED),
    "kem.withdraw": Function(kem_keys.withdraw, 4, 4, _KEYED),
    "kem.get": Function(kem_keys.get, 1, 1, _HANDLE, query=True),
    "exchange.grant": Function(exchange.grant, 7, 6 + exchange.MAX_GRANTED, exchange.MAX_TO_BYTES),
    "exchange.regrant": Function(exchange.regrant, 4, 4, _KEYED),
    "exchange.receive": Function(exchange.receive, 2, 2, _KEYED),
    "exchange.revoke": Function(exchange.revoke, 3, 3, _HANDLE),
    "exchange.get": Function(exchange_queries.get, 1, 1, _HANDLE, query=True),
    "exchange.granted": Function(exchange_queries.granted, 2, 2, _HANDLE, query=True),
    "exchange.grants": Function(exchange_queries.grants, 1, 2, _HANDLE, query=True),
    "exchange.list": Function(exchange_queries.listing, 2, 3, _HANDLE, query=True),
    "exchange.history": Function(exchange_queries.history, 2, 2, _HANDLE, query=True),
    "coldchain.policy": Function(shipments.policy, 1, 1, _KEYED),
    "coldchain.open": Function(shipments.open_shipment, 8, 8, MAX_OPENING_BYTES),
    "coldchain.report": Function(reports.report, 3, 3, _KEYED),
    "coldchain.overdue": Function(ending.overdue_report, 1, 1, _SHORT),
    "coldchain.explain": Function(ending.explain, 5, 5, _KEYED),
    "coldchain.release": Function(ending.release, 3, 3, _KEYED),
    "coldchain.close": Function(ending.close, 2, 2, _KEYED),
    "coldchain.dispute": Function(reports.dispute, 4, 4, _KEYED),
    "coldchain.get": Function(cold_queries.get, 1, 1, _SHORT, query=True),
    "coldchain.get-policy": Function(cold_queries.get_policy, 1, 1, _SHORT, query=True),
    "coldchain.reports": Function(cold_queries.reports, 1, 2, _SHORT, query=True),
    "coldchain.disputes": Function(cold_queries.disputes, 1, 1, _SHORT, query=True),
    "coldchain.explanations": Function(cold_queries.explanations, 1, 1, _SHORT, query=True),
    "coldchain.quarantine": Function(cold_queries.quarantine, 1, 1, _SHORT, query=True),
    "coldchain.list": Function(cold_queries.listing, 2, 3, _SHORT, query=True),
    "lots.commission": Function(making.commission, 5, 5 + MAX_INPUTS, MAX_EVIDENCE_BYTES),
    "lots.pack": Function(packing.pack, 5, 4 + packing.MAX_CHILDREN, MAX_EVIDENCE_BYTES),
    "lots.unpack": Function(packing.unpack, 2, 2, MAX_EVIDENCE_BYTES),
    "lots.destroy": Function(packing.destroy, 3, 3, MAX_EVIDENCE_BYTES),
    "lots.ship": Function(moving.ship, 3, 2 + moving.MAX_MOVED, MAX_EVIDENCE_BYTES),
    "lots.receive": Function(moving.receive, 2, 1 + moving.MAX_MOVED, MAX_EVIDENCE_BYTES),
    "lots.refuse": Function(moving.refuse, 3, 2 + moving.MAX_MOVED, MAX_EVIDENCE_BYTES),
    "lots.dispense": Function(lot_ending.dispense, 6, 6, MAX_EVIDENCE_BYTES),
    "lots.decommission": Function(lot_ending.decommission, 7, 7, MAX_EVIDENCE_BYTES),
    "lots.write-off": Function(lot_ending.write_off, 4, 4, MAX_EVIDENCE_BYTES),
    "lots.report": Function(exceptions.report, 6, 6, MAX_EVIDENCE_BYTES),
    "lots.answer": Function(exceptions.answer, 3, 3, MAX_EVIDENCE_BYTES),
    "lots.resolve": Function(exceptions.resolve, 3, 3, MAX_EVIDENCE_BYTES),
    "lots.recall": Function(recalls.recall, 5, 5, MAX_EVIDENCE_BYTES),
    "lots.lift": Function(recalls.lift, 3, 3, MAX_EVIDENCE_BYTES),
    "recalls.answer": Function(recalls.answer, 3, 3, MAX_EVIDENCE_BYTES),
    "recalls.get": Function(recalls.get, 1, 1, _SHORT, query=True),
    "recalls.answered": Function(recalls.answered, 2, 2, _SHORT, query=True),
    "lots.exception": Function(lot_queries.exception, 1, 1, _SHORT, query=True),
    "lots.exceptions": Function(lot_queries.exceptions, 1, 2, _SHORT, query=True),
    "lots.held-by": Function(lot_queries.held_by, 1, 1, _SHORT, query=True),
    "lots.get": Function(lot_queries.get, 1, 1, _SHORT, query=True),
    "lots.unit": Function(lot_queries.unit, 1, 1, _SHORT, query=True),
    "lots.where": Function(lot_queries.where, 1, 1, _SHORT, query=True),
    "lots.balance": Function(lot_queries.balance, 2, 2, _SHORT, query=True),
    "lots.pack-state": Function(lot_queries.pack_state, 2, 2, _SHORT, query=True),
    "lots.history": Function(lot_queries.history, 1, 1, _SHORT, query=True),
}


def function_named(name: str) -> Function:
    """The function of this name; ContractError lists the known names."""
    try:
        return FUNCTIONS[name]
    except KeyError as e:
        known = ", ".join(FUNCTIONS)
        raise ContractError(Code.UNKNOWN_FUNCTION, f"no function {name[:60]!r}; known are {known}") from e


async def invoke(tx: Transaction, name: str, args: Sequence[bytes]) -> bytes:
    """Run one function. Raises ContractError where it refuses, StateError where the ledger is damaged."""
    # 1. Limits.
    function = function_named(name)
    if not function.least <= len(args) <= function.most:
        raise ContractError(
            Code.ARGUMENT_COUNT, f"{name} takes {function.least} to {function.most} arguments, got {len(args)}"
        )
    longest = max(map(len, args), default=0)
    if longest > function.longest:
        raise ContractError(
            Code.ARGUMENT_SIZE, f"arguments of {name} have at most {function.longest} bytes, got {longest}"
        )
    # 2. The function; what crypto refuses becomes a refusal with a code.
    try:
        return await function.run(tx, args)
    except SignatureError as e:
        raise ContractError(Code.BAD_SIGNATURE, str(e)) from e
    except ProofError as e:
        raise ContractError(Code.BAD_PROOF, str(e)) from e
    except (FormatError, KeyMaterialError) as e:
        raise ContractError(Code.MALFORMED, str(e)) from e
