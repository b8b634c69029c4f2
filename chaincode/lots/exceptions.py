"""Exceptions and their workflow: reported, answered by the party that is asked, resolved by who reported.

Anybody may report. Only a report by who has a unit, or is to receive it, keeps that unit where it is, and only as long
as that is so: a stranger stops nobody's goods. Times are callers' claims; behind a deadline is what the caller's
transaction says.
"""

from collections.abc import Sequence
from dataclasses import replace

from chaincode import arguments
from chaincode.errors import Code, ContractError
from chaincode.lots.acting import Acting, acting, other_organisation
from chaincode.lots.exception_records import (
    MAX_ABOUT,
    MAX_OWN_HOLDS,
    Answer,
    End,
    ExceptionRecord,
    ExceptionState,
    Hold,
    Kind,
    Party,
    Resolution,
)
from chaincode.lots.guards import holds
from chaincode.lots.keys import exception_key, exception_listing_key, hold_key, unit_key
from chaincode.lots.units import short, standing
from chaincode.state import PRESENT, read
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.errors import FormatError
from crypto.merkle import HASH_BYTES, leaf_hash

CLOSED = b"\x00"  # in a listing, of an exception that is resolved
_WITHOUT_ANSWER = (Resolution.WITHDRAWN, Resolution.UNANSWERED)


async def report(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """report(kind, ids, counterparty or empty, evidence, detail, deadline): an exception about 1 to 16 lots, units or
    packs, whose ids are given one after the other. `detail` is a SHA-256, or empty; the deadline in µs since 1970, 0
    for none. Returns the ExceptionRecord; the same again changes nothing."""
    # 1. The caller, its evidence, and what it says.
    here = await acting(tx, args[3])
    wanted = await _described(tx, args, here)
    # 2. The same again is no news.
    known = await read(tx, exception_key(wanted.exception_id), ExceptionRecord)
    if known is not None:
        return known.encode()
    # 3. Units that the caller has, or is to get, stay where they are.
    for one in wanted.about:
        await _hold(tx, one, wanted, here)
    return await open_exception(tx, wanted)


async def _described(tx: Transaction, args: Sequence[bytes], here: Acting) -> ExceptionRecord:
    kind, deadline = arguments.choice(Kind, args[0], "kind"), arguments.index(args[5], "deadline")
    about = tuple(args[1][i : i + HASH_BYTES] for i in range(0, len(args[1]), HASH_BYTES))
    if not 1 <= len(about) <= MAX_ABOUT or len(args[1]) % HASH_BYTES or len({}.fromkeys(about)) != len(about):
        raise FormatError(f"an exception is about 1 to {MAX_ABOUT} different ids of {HASH_BYTES} bytes")
    parties = (Party(await other_organisation(tx, args[2], here, "counterparty")),) if args[2] else ()
    detail = arguments.digest(args[4], "detail") if args[4] else None
    exception_id = exception_named(kind, here.organisation, here.evidence.leaf_hash, b"".join(about))
    return ExceptionRecord(
        exception_id, kind, about, here.organisation, parties, here.evidence, None, detail, deadline,
        tx.timestamp_us, tx.id,
    )  # fmt: skip


def exception_named(kind: Kind, organisation: str, cause: bytes, about: bytes) -> bytes:
    """The id of an exception: the same for the same cause, so that the first is the one kept."""
    return leaf_hash(cbor.encode([str(kind), organisation, cause, about]))


async def open_exception(tx: Transaction, record: ExceptionRecord) -> bytes:
    """Write a new exception, and list it for its owner and parties."""
    await tx.put(exception_key(record.exception_id), record.encode())
    await _list(tx, record, PRESENT)
    _announce(tx, record)
    return record.encode()


async def _list(tx: Transaction, record: ExceptionRecord, value: bytes) -> None:
    for name in {}.fromkeys([record.owner, *(party.organisation for party in record.parties)]):
        await tx.put(exception_listing_key(name, record.exception_id), value)


def _announce(tx: Transaction, record: ExceptionRecord) -> None:
    parties: list[cbor.CborValue] = [party.organisation for party in record.parties]
    tx.set_event(
        "lots.exception",
        cbor.encode([record.exception_id, str(record.kind), str(record.state), record.owner, parties]),
    )


async def _hold(tx: Transaction, unit_id: bytes, record: ExceptionRecord, here: Acting) -> None:
    if await tx.get(unit_key(unit_id)) is None:
        return
    unit = await standing(tx, unit_id)
    if unit.parent is not None or here.organisation not in (unit.custodian, unit.recipient):
        return
    held = (await holds(tx, unit_id)).of(unit.custodian, unit.recipient)
    if len(Hold(held).of(here.organisation)) >= MAX_OWN_HOLDS:
        raise ContractError(
            Code.EXCEPTION_OPEN, f"{MAX_OWN_HOLDS} of your exceptions are open on {short(unit_id)}; resolve some"
        )
    await tx.put(hold_key(unit_id), Hold(tuple(sorted([*held, (record.exception_id, here.organisation)]))).encode())


async def known_exception(tx: Transaction, argument: bytes) -> ExceptionRecord:
    exception_id = arguments.digest(argument, "exception id")
    found = await read(tx, exception_key(exception_id), ExceptionRecord)
    if found is None:
        raise ContractError(Code.UNKNOWN_EXCEPTION, f"nobody reported an exception {exception_id.hex()[:16]}…")
    return found


async def answer(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """answer(exception id, detail, evidence): a party says its side, once; `detail` is the SHA-256 of what it says.
    Returns the ExceptionRecord; the same again changes nothing."""
    here = await acting(tx, args[2])
    record, detail = await known_exception(tx, args[0]), arguments.digest(args[1], "detail")
    # 1. The caller is asked.
    party = record.party(here.organisation)
    if party is None:
        raise ContractError(Code.FORBIDDEN, f"{here.organisation} is no party that this exception asks")
    # 2. It did not answer before, and nobody closed it.
    if party.answer is not None and (party.answer.evidence, party.answer.detail) == (here.evidence, detail):
        return record.encode()
    if party.answer is not None or record.end is not None:
        raise ContractError(Code.EXCEPTION_CLOSED, f"{here.organisation} answered before, or the exception is resolved")
    said = Party(here.organisation, Answer(here.evidence, detail, tx.timestamp_us, tx.id))
    answered = replace(record, parties=tuple(said if one == party else one for one in record.parties))
    await tx.put(exception_key(record.exception_id), answered.encode())
    _announce(tx, answered)
    return answered.encode()


async def resolve(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """resolve(exception id, resolution, evidence): the owner ends it; behind the deadline also a party that answered.
    Units that it kept are free of it. Returns the ExceptionRecord; the same again changes nothing."""
    here = await acting(tx, args[2])
    record, how = await known_exception(tx, args[0]), arguments.choice(Resolution, args[1], "resolution")
    if record.end is not None:
        if (record.end.resolution, record.end.evidence) != (how, here.evidence):
            raise ContractError(Code.EXCEPTION_CLOSED, f"it was resolved as {record.end.resolution}")
        return record.encode()
    late = 0 < record.deadline_us < tx.timestamp_us
    _require_may_resolve(record, how, here, late)
    ended = replace(record, end=End(how, here.organisation, here.evidence, tx.timestamp_us, tx.id))
    await tx.put(exception_key(record.exception_id), ended.encode())
    await _list(tx, record, CLOSED)
    for unit_id in record.about:
        held = (await holds(tx, unit_id)).exceptions
        rest = tuple(one for one in held if one[0] != record.exception_id)
        if rest != held:
            await tx.put(hold_key(unit_id), Hold(rest).encode())
    _announce(tx, ended)
    return ended.encode()


def _require_may_resolve(record: ExceptionRecord, how: Resolution, here: Acting, late: bool) -> None:
    # 1. The caller: its owner, or behind the deadline a party that answered.
    party = record.party(here.organisation)
    if here.organisation != record.owner and not (late and party is not None and party.answer):
        raise ContractError(Code.FORBIDDEN, f"{record.owner} resolves this; who answered may once the deadline is over")
    # 2. How: an answer is awaited where somebody is asked.
    awaited = record.parties and record.state is ExceptionState.OPEN
    if awaited and (how not in _WITHOUT_ANSWER or (how is Resolution.UNANSWERED and not late)):
        raise ContractError(
            Code.EXCEPTION_OPEN, "a party has not answered; withdraw it, or wait for the deadline and say unanswered"
        )
