"""Evidence of a transaction, verified offline; each altered part is refused."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import LogError, ReceiptError
from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.evidence import EmbeddedEvidence
from chain.ledger.transaction_leaf import Request, TransactionLeaf, Write, open_leaf
from crypto import cbor
from crypto.checkpoint import Checkpoint, sign_checkpoint
from crypto.errors import FormatError, LimitError, ProofError, SealtrailError, SignatureError
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import leaf_hash
from tests.chain.ledger import site
from tests.chain.ledger.site import verify

ANCHOR, FORK = 2, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ledger")

    async def fill(ledger: EmbeddedLedger) -> None:
        await site.begin(ledger, folder)
        log = site.log(folder)
        await ledger.submit("logs.anchor", *log.anchor(0, 5))
        await ledger.submit("logs.anchor", *log.fork().anchor(5, 5))
        for _ in range(7):
            await ledger.submit("logs.anchor", *log.anchor(5, 5))

    site.using(folder, fill)
    return folder


@pytest.fixture(scope="module")
def proofs(folder: Path) -> list[EmbeddedEvidence]:
    async def collect(ledger: EmbeddedLedger) -> list[EmbeddedEvidence]:
        return [await site.evidence(ledger, index) for index in range(11)]

    return site.using(folder, collect)


def test_every_transaction_has_evidence(folder: Path, proofs: list[EmbeddedEvidence]) -> None:
    for index, evidence in enumerate(proofs):
        leaf = verify(EmbeddedEvidence.decode(evidence.encode()), site.keys(folder))
        assert evidence.index == index
        assert leaf.encode() == evidence.leaf
        assert leaf.request.caller == site.gateway(folder).key.public


def test_evidence_of_an_anchor_carries_the_note(folder: Path, proofs: list[EmbeddedEvidence]) -> None:
    leaf = verify(proofs[ANCHOR], site.keys(folder))
    checkpoint = site.anchored(folder, proofs[ANCHOR])
    assert (checkpoint.origin, checkpoint.size) == (site.ORIGIN, 5)
    assert [write.key for write in leaf.writes] == [f"cp/{site.ORIGIN}/{5:020}", f"head/{site.ORIGIN}"]


def test_a_refused_fork_or_another_call_is_no_anchor(folder: Path, proofs: list[EmbeddedEvidence]) -> None:
    with pytest.raises(ReceiptError, match="fork"):
        site.anchored(folder, proofs[FORK])
    with pytest.raises(ReceiptError, match=r"logs\.register"):
        site.anchored(folder, proofs[1])


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


ALTERED: dict[str, tuple[Callable[[EmbeddedEvidence], EmbeddedEvidence], type[SealtrailError]]] = {
    "index": (lambda e: replace(e, index=e.index + 1), ProofError),
    "index beyond": (lambda e: replace(e, index=11), ProofError),
    "index below": (lambda e: replace(e, index=-1), LimitError),
    "proof hash": (lambda e: replace(e, proof=(flip(e.proof[0], 5), *e.proof[1:])), ProofError),
    "proof short": (lambda e: replace(e, proof=e.proof[:-1]), ProofError),
    "proof long": (lambda e: replace(e, proof=(*e.proof, bytes(32))), ProofError),
    "proof hash length": (lambda e: replace(e, proof=(e.proof[0] + b"x", *e.proof[1:])), ProofError),
    "size": (lambda e: replace(e, note=e.note.replace("\n11\n", "\n12\n")), SignatureError),
    "origin": (lambda e: replace(e, note=e.note.replace("ledger\n", "ledgex\n", 1)), SignatureError),
    "first signature": (lambda e: replace(e, note=_without(e.note, 0)), SignatureError),
    "second signature": (lambda e: replace(e, note=_without(e.note, 1)), SignatureError),
    "no note": (lambda e: replace(e, note=""), FormatError),
}


def _without(note: str, line: int) -> str:
    text, signatures = note.split("\n\n")
    kept = [one for place, one in enumerate(signatures.splitlines()) if place != line]
    return text + "\n\n" + "\n".join(kept) + "\n"


@pytest.mark.parametrize("part", ALTERED)
def test_each_altered_part_is_refused(folder: Path, proofs: list[EmbeddedEvidence], part: str) -> None:
    alter, error = ALTERED[part]
    with pytest.raises(error):
        verify(alter(proofs[ANCHOR]), site.keys(folder))


def test_each_altered_byte_of_the_leaf_is_refused(folder: Path, proofs: list[EmbeddedEvidence]) -> None:
    evidence = proofs[ANCHOR]
    for place in range(0, len(evidence.leaf), 97):
        with pytest.raises(ProofError):
            verify(replace(evidence, leaf=flip(evidence.leaf, place)), site.keys(folder))


def test_another_transactions_leaf_is_refused(folder: Path, proofs: list[EmbeddedEvidence]) -> None:
    with pytest.raises(ProofError):
        verify(replace(proofs[ANCHOR], leaf=proofs[FORK].leaf), site.keys(folder))


def test_other_keys_than_the_pinned_ones_are_refused(
    folder: Path, proofs: list[EmbeddedEvidence], tmp_path: Path
) -> None:
    with pytest.raises(SignatureError):
        verify(proofs[ANCHOR], site.keys(tmp_path))
    with pytest.raises(SignatureError):
        verify(proofs[ANCHOR], [site.keys(folder)[0], site.keys(tmp_path)[1]])
    with pytest.raises(SignatureError):
        verify(proofs[ANCHOR], [])


def test_a_transaction_moved_to_another_ledger_is_refused(
    folder: Path, proofs: list[EmbeddedEvidence], tmp_path: Path
) -> None:
    """A second ledger takes a leaf that its caller signed for the first one into its own log."""
    signers, leaf = site.signers(tmp_path, "second"), proofs[ANCHOR].leaf
    note = sign_checkpoint(Checkpoint("second", 1, leaf_hash(leaf)), signers, 1).marshal()
    with pytest.raises(SignatureError, match=r"signed for the ledger .*, not for 'second'"):
        verify(EmbeddedEvidence(leaf, 0, (), note), [signer.vkey for signer in signers])


def test_evidence_has_one_encoding(proofs: list[EmbeddedEvidence]) -> None:
    encoded = proofs[ANCHOR].encode()
    item = cbor.decode(encoded, 2**18)
    for wrong in (
        item | {1: 2}, item | {6: 0}, item | {4: [1]}, item | {4: [bytes(32)] * 64}, item | {5: "x" * 65_537},
        item | {2: "leaf"}, item | {3: 1.0}, [item], {k: v for k, v in item.items() if k != 5},
    ):  # fmt: skip
        with pytest.raises(FormatError):
            EmbeddedEvidence.decode(cbor.encode(wrong))
    for damaged in (encoded + b"\x00", encoded[:-1], b"", bytes(200_000)):
        with pytest.raises(FormatError):
            EmbeddedEvidence.decode(damaged)


@given(st.binary(max_size=500))
def test_arbitrary_bytes_are_refused_by_our_errors(data: bytes) -> None:
    for read in (EmbeddedEvidence.decode, open_leaf):
        with pytest.raises(SealtrailError):
            read(data)


CALLER = PrivateKey.generate(Algorithm.ED25519)
requests = st.builds(
    Request, st.text(max_size=20), st.text(max_size=20), st.lists(st.binary(max_size=40), max_size=5).map(tuple),
    st.just(CALLER.public), st.integers(0, 2**63 - 1), st.binary(min_size=16, max_size=16),
)  # fmt: skip
writes = st.lists(st.builds(Write, st.text(max_size=20), st.binary(min_size=32, max_size=32)), max_size=4).map(tuple)
events = st.none() | st.tuples(st.text(max_size=20), st.binary(max_size=40))


@given(requests, writes, events, st.binary(max_size=40))
def test_leaves_are_read_back(
    request_: Request, written: tuple[Write, ...], event: tuple[str, bytes] | None, result: bytes
) -> None:
    leaf = TransactionLeaf(request_, request_.sign(CALLER), written, event, result)
    assert open_leaf(leaf.encode()) == leaf


def test_malformed_leaves_are_refused(proofs: list[EmbeddedEvidence]) -> None:
    item = cbor.decode(proofs[ANCHOR].leaf, 2**16)
    for key, values in {
        1: [0, 2, "1"], 2: [b"x", None], 3: [None], 4: ["x", [1], None], 5: ["rsa", b"ed25519"], 6: [b"", bytes(31)],
        7: [-1, 2**63, 1.5, None], 8: [bytes(15), bytes(17)], 9: [None, "x"], 10: [None, [["k"]], [["k", bytes(31)]]],
        11: [0, [], ["n"], ["n", "p"], [b"n", b"p"]], 12: [None, "x"], 13: [0],
    }.items():  # fmt: skip
        for value in values:
            with pytest.raises(SealtrailError) as caught:
                open_leaf(cbor.encode(item | {key: value}))
            assert not isinstance(caught.value, SignatureError), (key, value)
    for key, value in {2: "other", 3: "logs.head", 4: [b"x"], 7: 5, 8: bytes(16), 9: bytes(64)}.items():
        with pytest.raises(SignatureError):
            open_leaf(cbor.encode(item | {key: value}))


def test_there_is_no_evidence_of_what_is_not_there(folder: Path) -> None:
    for index in (-1, 11):
        with pytest.raises(LogError):
            site.using(folder, lambda ledger, index=index: ledger.evidence(index))


def test_verifying_needs_no_database_nor_heavy_packages() -> None:
    code = "import sys, chain.ledger.evidence; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["sqlite3", "pydantic", "fastapi", "grpc", "httpx", "asyncio"]
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, check=True, text=True, cwd=root)
    assert run.stdout.strip() == "[]"
