"""Proofs over any sizes of the log (RFC 9162), computed from its tiles."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from chain.log.proofs import ProofBuilder
from crypto.merkle import leaf_hash
from gateway.api.auth import Reader
from gateway.api.models import ConsistencyOut, InclusionOut
from gateway.api.parameters import Number
from gateway.api.problems import documented
from gateway.api.services import AView

router = APIRouter(prefix="/v1/proofs", tags=["proofs"])


@router.get("/inclusion", summary="That a record is in the log at a size", responses=documented(401, 403, 404))
def inclusion(
    who: Reader, view: AView,
    index: Annotated[Number, Query(description="the record")],
    size: Annotated[Number, Query(description="entries of the tree")],
) -> InclusionOut:  # fmt: skip
    """The audit path of RFC 9162 section 2.1.3, leaf to root."""
    if index >= size:
        raise HTTPException(422, f"index {index} is not in a tree of size {size}")
    proofs = ProofBuilder(view.site.entries, size)
    leaf, stored = leaf_hash(view.site.entries.entry(index)), view.site.checkpoints.at(size)
    return InclusionOut(
        index=index, size=size, leaf_hash=leaf, hashes=proofs.inclusion(index), root=proofs.root(),
        checkpoint=stored.note if stored and stored.published else None,
    )  # fmt: skip


@router.get("/consistency", summary="That the log only grew between two sizes", responses=documented(401, 403, 404))
def consistency(who: Reader, view: AView, old: Annotated[Number, Query()], new: Annotated[Number, Query()]
                ) -> ConsistencyOut:  # fmt: skip
    """The consistency proof of RFC 9162 section 2.1.4."""
    if old > new:
        raise HTTPException(422, f"old size {old} is above new size {new}")
    proofs = ProofBuilder(view.site.entries, new)
    old_root = ProofBuilder(view.site.entries, old).root()
    return ConsistencyOut(old=old, new=new, old_root=old_root, new_root=proofs.root(), hashes=proofs.consistency(old))
