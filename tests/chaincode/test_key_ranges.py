"""Laws of key ranges, over any course of rotations and revocations; listings; several organisations."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaincode.errors import Code, ContractError
from chaincode.identities import MAX_LISTED
from chaincode.identity_records import Identity, KeyRecord, check_ranges
from crypto import cbor
from crypto.errors import FormatError
from crypto.keys import Algorithm, PrivateKey
from tests.chaincode.memory import MemoryLedger
from tests.contract_suite.actors import Actor

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
        before = Identity.decode(ledger.call(gateway.key.public, "identities.get", thing.handle.encode()))
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
        after = Identity.decode(
            ledger.call(gateway.key.public, "identities.get", thing.handle.encode())
        )  # checks the ranges
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
