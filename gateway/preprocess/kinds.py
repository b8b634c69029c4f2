"""The register of kinds. A new kind is one module and one line here; a code is never given twice."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.preprocess.epcis import Epcis
from gateway.preprocess.errors import UnknownKindError
from gateway.preprocess.inference import Inference
from gateway.preprocess.kind import Kind
from gateway.preprocess.production import Production
from gateway.preprocess.reading import Reading
from gateway.preprocess.recall import RecallKind
from gateway.preprocess.sealed_object import SealedObject
from gateway.preprocess.shipment import Shipment

# Codes 4, seal, and 5, erasure, belong to the log itself.
ALL: tuple[Kind, ...] = (
    Reading(), Production(), Inference(), SealedObject(), Epcis(), Shipment(), RecallKind(),
)  # fmt: skip

_BY_NAME: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in ALL})
_BY_CODE: Mapping[int, Kind] = MappingProxyType({kind.code: kind for kind in ALL})


def by_name(name: str) -> Kind:
    """The kind of this name. Raises UnknownKindError."""
    try:
        return _BY_NAME[name]
    except KeyError as e:
        raise UnknownKindError(f"expected a kind of {', '.join(_BY_NAME)}, got {name!r:.80}") from e


def by_code(code: int) -> Kind:
    """The kind of this code. Raises UnknownKindError."""
    try:
        return _BY_CODE[code]
    except KeyError as e:
        raise UnknownKindError(f"expected a kind code of {', '.join(map(str, _BY_CODE))}, got {code!r:.80}") from e
