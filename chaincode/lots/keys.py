"""The keys of lots, units and packs in the state (byte-exact: docs/formats/ledger.md).

A balance and a listing belong to one organisation, and only its own calls change its balance; a unit's key is changed
by whoever has it or is to get it. So no two companies' calls conflict unless they are about the same unit or pack.
"""


def lot_key(lot_id: bytes) -> str:
    return f"lot/{lot_id.hex()}"


def balance_key(lot_id: bytes, organisation: str) -> str:
    return f"balance/{lot_id.hex()}/{organisation}"


def unit_key(unit_id: bytes) -> str:
    return f"unit/{unit_id.hex()}"


def pack_key(lot_id: bytes, pack_id: bytes) -> str:
    """Below its lot: nobody can use up another maker's packs by a lot of his own that names them."""
    return f"pack/{lot_id.hex()}/{pack_id.hex()}"


def write_off_key(lot_id: bytes, leaf_hash: bytes) -> str:
    """One record evidences one write-off of a lot, so that a call whose answer got lost takes nothing twice."""
    return f"write-off/{lot_id.hex()}/{leaf_hash.hex()}"


def exception_key(exception_id: bytes) -> str:
    return f"exception/{exception_id.hex()}"


def exception_listing_key(organisation: str, exception_id: bytes) -> str:
    """No organisation's name holds a `!`."""
    return f"exceptions/{organisation}!{exception_id.hex()}"


def hold_key(unit_id: bytes) -> str:
    return f"hold/{unit_id.hex()}"


def recall_key(recall_id: str) -> str:
    return f"recall/{recall_id}"


def recall_answer_key(recall_id: str, commitment: bytes) -> str:
    return f"recall-answer/{recall_id}/{commitment.hex()}"
