"""What kind of thing a canonical URI names: cheap looks at URIs that gateway.epcis has checked before."""

from gateway.custody.errors import CustodyError

ROOT = "https://id.gs1.org/"
PRODUCT = f"{ROOT}01/"  # how the URIs of products, lots and packs begin
_SERIAL, _LOT = "/21/", "/10/"
_CONTAINERS = (f"{ROOT}00/", f"{ROOT}8003/", f"{ROOT}8004/")  # SSCC, returnable items, assets


def is_pack(uri: str) -> bool:
    """One pack with a serial (SGTIN)."""
    return uri.startswith(PRODUCT) and _SERIAL in uri


def is_lot(uri: str) -> bool:
    """A lot of a product (LGTIN)."""
    return uri.startswith(PRODUCT) and _LOT in uri and _SERIAL not in uri


def is_container(uri: str) -> bool:
    """A logistic unit, or another thing that goods are put into."""
    return uri.startswith(_CONTAINERS)


def gtin_of(uri: str) -> str:
    """The GTIN in the URI of a product, lot or pack; empty in any other."""
    return uri[len(PRODUCT) : len(PRODUCT) + 14] if uri.startswith(PRODUCT) else ""


def pack_name(pack: str) -> str:
    """What is stored of a pack's URI; CustodyError for a URI of anything else."""
    if not is_pack(pack):
        raise CustodyError(f"expected the canonical URI of a pack with a serial (SGTIN), got {pack[:120]}")
    return pack[len(PRODUCT) :]
