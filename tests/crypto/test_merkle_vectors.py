"""The proof vectors of transparency-dev/merkle against crypto.merkle: what must verify does, what must not never."""

import base64
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from crypto.errors import ProofError, SealtrailError
from crypto.merkle import lifted, verify_consistency, verify_inclusion

TRAP = "additional/sizes-are-equal-zero-and-proof-is-empty.json"
# transparency-dev/merkle refuses every proof from size 0. c2sp.org/tlog-witness demands the opposite of exactly
# this one: an empty proof from the true empty root to another size. crypto.merkle follows C2SP.
FROM_EMPTY = "size1-is-zero-and-size2-is-not-zero.json"


def load(path: Path) -> dict[str, Any]:
    vector: dict[str, Any] = json.loads(path.read_text())
    for name in ("root", "root1", "root2", "leafHash"):
        vector[name] = stand_in(base64.b64decode(vector.get(name) or ""))
    vector["proof"] = [base64.b64decode(node) for node in vector["proof"] or []]
    return vector


def stand_in(root: bytes) -> bytes:
    """Vectors about sizes alone have the text "don't care 1" for a root. Ours must be 32 bytes, so that the sizes
    decide and not the length."""
    return sha256(root).digest() if root.startswith(b"don't care") else root


def check(verify: Callable[..., None], arguments: tuple[Any, ...], path: Path, wanted_error: bool) -> None:
    error = None
    try:
        verify(*arguments)
    except SealtrailError as e:
        error = e
    assert (error is not None) == wanted_error, f"{path}: expected error {wanted_error}, got {error!r}"


def _verify_lifted(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> None:
    verify_inclusion(*lifted(leaf, index, size, proof), root)


def test_inclusion(vectors: Callable[[str], Path]) -> None:
    paths = sorted((vectors("merkle") / "inclusion").rglob("*.json"))
    outcomes = set()
    for path in paths:
        v = load(path)
        arguments = (v["leafHash"], v["leafIdx"], v["treeSize"], v["proof"], v["root"])
        check(verify_inclusion, arguments, path, v["wantErr"])
        check(_verify_lifted, arguments, path, v["wantErr"])
        outcomes.add(v["wantErr"])
    assert len(paths) == 98
    assert outcomes == {True, False}


def test_consistency(vectors: Callable[[str], Path]) -> None:
    paths = sorted((vectors("merkle") / "consistency").rglob("*.json"))
    outcomes = set()
    for path in paths:
        v = load(path)
        wanted = v["wantErr"] and path.name != FROM_EMPTY
        check(verify_consistency, (v["size1"], v["size2"], v["proof"], v["root1"], v["root2"]), path, wanted)
        outcomes.add(v["wantErr"])
    assert len(paths) == 98
    assert outcomes == {True, False}


def test_two_empty_trees_with_a_root_that_is_not_the_empty_one(vectors: Callable[[str], Path]) -> None:
    v = load(vectors("merkle") / "consistency" / TRAP)
    assert v["size1"] == v["size2"] == 0
    assert v["wantErr"]
    with pytest.raises(ProofError, match="empty tree"):
        verify_consistency(0, 0, v["proof"], v["root1"], v["root2"])
