"""Laws of key ranges, over any course of rotations and revocations, and strict reading of records."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaincode.errors import Code, ContractError, StateError
from chaincode.identities import MAX_LISTED
from chaincode.identity_records import Identity, KeyRecord, Role, check_ranges
from chaincode.log_records import AnchorAnswer, AnchoredCheckpoint, AnchorStatus, ForkRecord, LogRecord
from chaincode.state import Record
from crypto import cbor
from crypto.errors import FormatError, KeyMaterialError, SealtrailError
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import EMPTY_ROOT
from tests.chaincode.memory import MemoryLedger
from tests.contract_suite.actors import Actor, log_signers

ORIGIN = "plant.example/gw1"
KEYS = [PrivateKey.generate(Algorithm.ED25519) for _ in range(12)]
steps = st.lists(st.tuples(st.sampled_from(["rotate", "revoke"]), st.integers(0, 30), st.integers(0, 3)), max_size=11)


def started() -> tuple[MemoryLedger, Actor]:
    ledger, gateway = MemoryLedger(), Actor("gateway", ORIGIN)
    ledger.call(gateway.key.public, "identities.bootstrap", *gateway.bootstrap())
    return ledger, gateway


@settings(max_examples=60)
@given(start=st.integers(0, 10), course=steps)
def test_at_every_index_at_most_one_key_counts(start: int, course: list[tuple[str, int, int]]) -> None:
    ledger, gateway = started()
    thing, spare = Actor("thing", ORIGIN, KEYS[0]), iter(KEYS[1:])
    ledger.call(gateway.key.public, "identities.enrol", *thing.enrolment("source", start))
    past = [thing.key]
    for what, index, back in course:
        before = Identity.decode(ledger.call(gateway.key.public, "identities.get", b"thing"))
        try:
            if what == "rotate":
                new = next(spare)
                ledger.call(gateway.key.public, "identities.rotate", *thing.rotation(new, index))
                thing = Actor("thing", ORIGIN, new)
                past.append(new)
            else:
                victim = Actor("thing", ORIGIN, past[-1 - back % len(past)])
                ledger.call(gateway.key.public, "identities.revoke", *victim.revocation(index))
        except ContractError as e:
            assert e.code in (Code.BAD_RANGE, Code.KEY_CLOSED)  # noqa: PT017 - most courses hold refusals
        after = Identity.decode(ledger.call(gateway.key.public, "identities.get", b"thing"))  # checks the ranges
        for i in range(35):
            counting = [record.key for record in after.keys if record.valid_at(i)]
            assert len(counting) <= 1
            assert counting == ([after.key_at(i)] if counting else [])
            earlier = [record.key for record in before.keys if record.valid_at(i)]
            assert what == "rotate" or counting in (earlier, [])  # a revocation never makes a key count


@pytest.mark.parametrize(
    "ranges", [[], [(5, 4)], [(-1, 3)], [(0, None), (5, None)], [(0, 6), (5, None)], [(9, 10), (3, 4)]]
)
def test_ranges_that_must_not_be(ranges: list[tuple[int, int | None]]) -> None:
    key = KEYS[0].public
    with pytest.raises(FormatError):
        check_ranges([KeyRecord(key, *bounds) for bounds in ranges])


def test_listing_is_bounded_and_continues() -> None:
    ledger, gateway = started()
    names = [f"thing-{i:04}" for i in range(MAX_LISTED + 5)]
    ledger.state.update({f"role/source/{name}": b"\x01" for name in names})
    first = cbor.decode(ledger.call(gateway.key.public, "identities.list", b"source"), 2**20)
    rest = cbor.decode(ledger.call(gateway.key.public, "identities.list", b"source", first[-1].encode()), 2**20)
    assert len(first) == MAX_LISTED
    assert first + rest == names


def test_organisations_begin_and_act_apart() -> None:
    """On a ledger with several organisations each has its own first gateway, which manages only its own."""
    ledger, gateway = started()
    other = Actor("hospital", "hospital.example/gw2")
    ledger.call(other.key.public, "identities.bootstrap", *other.bootstrap(), organisation="hospital")
    for code, organisation in ((Code.NOT_OWNER, "hospital"), (Code.FORBIDDEN, "plant")):
        args = gateway.revocation(3)
        with pytest.raises(ContractError) as caught:
            ledger.call(other.key.public, "identities.revoke", *args, organisation=organisation)
        assert caught.value.code is code


def records() -> list[Record]:
    vkeys = tuple(signer.vkey for signer in log_signers(ORIGIN))
    keys = (KeyRecord(KEYS[0].public, 0, 5, "lost"), KeyRecord(KEYS[1].public, 7))
    return [
        LogRecord(ORIGIN, "plant/gw", vkeys),
        AnchoredCheckpoint(ORIGIN, 7, EMPTY_ROOT, "note", 1_700_000_000_000_000, "ab" * 32),
        ForkRecord(ORIGIN, 7, "one", "two", 1_700_000_000_000_000, "ab" * 32),
        AnchorAnswer(AnchorStatus.FORK, 7, EMPTY_ROOT),
        Identity("thing", Role.SOURCE, "plant", ORIGIN, keys),
    ]


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_records_are_read_back_and_nothing_else_is(record: Record) -> None:
    encoded = record.encode()
    assert type(record).decode(encoded) == record
    item = cbor.decode(encoded, 2**17)
    for key in item:
        for wrong in (None, 2**70, [[]], -1.5, "\x00"):
            if type(wrong) is str and type(item[key]) is str and item[key] not in list(Role) + list(AnchorStatus):
                continue  # any text may stand there
            with pytest.raises((FormatError, KeyMaterialError)):
                type(record).decode(cbor.encode(item | {key: wrong}))
    for damaged in (encoded + b"\x00", encoded[:-1], cbor.encode(item | {99: 0}), cbor.encode([1]), b""):
        with pytest.raises(FormatError):
            type(record).decode(damaged)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_record(data: bytes) -> None:
    for record in records():
        with pytest.raises(SealtrailError):
            type(record).decode(data)


def test_damaged_state_is_not_taken_for_a_bad_argument() -> None:
    ledger, gateway = started()
    ledger.state["id/gateway"] = b"\xff"
    with pytest.raises(StateError, match="fsck"):
        ledger.call(gateway.key.public, "identities.get", b"gateway")
    ledger, gateway = started()
    del ledger.state["id/gateway"]
    with pytest.raises(StateError, match="no record"):
        ledger.call(gateway.key.public, "logs.register", ORIGIN.encode(), b"x")
