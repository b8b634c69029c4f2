"""Amounts of goods without serials as whole numbers, because the contract counts in integers.

Pieces count as pieces; masses in milligrams, volumes in microlitres, anything else in thousandths of its unit. So two
companies that say the same amount in kilograms and in grams mean the same number.
"""

from gateway.custody.errors import CustodyError

# UN/ECE Recommendation 20 codes.
_SCALES = {
    "TNE": 10**9, "KGM": 10**6, "HGM": 10**5, "GRM": 10**3, "MGM": 1, "MTQ": 10**9, "HLT": 10**8, "LTR": 10**6,
    "DLT": 10**5, "CLT": 10**4, "MLT": 10**3, "CMQ": 10**3, "DMQ": 10**6,
}  # fmt: skip
MOST = 2**63 - 1


def whole(quantity: float, uom: str | None) -> int:
    """The amount as the ledger counts it.

    Raises:
        CustodyError: not above zero, too much, or a part of a piece.
    """
    scaled = quantity * (_SCALES.get(uom, 1000) if uom else 1)
    if not 0 < scaled <= MOST:  # before it is rounded or shown: JSON's numbers have any size
        got = "more" if scaled > 0 else "none"
        raise CustodyError(f"an amount must be above zero and below 2^63 in the ledger's counting, got {got}")
    count = round(scaled)
    if not uom and scaled != count:
        raise CustodyError(f"goods without a unit of measure come in whole pieces, got {quantity}; give a uom")
    return bounded(count)


def bounded(count: int) -> int:
    """An amount or a sum of amounts. CustodyError where it is none that the ledger counts in."""
    if not 0 < count <= MOST:
        raise CustodyError(f"amounts together must be above zero and below 2^63 in the ledger's counting, got {count}")
    return count
