"""Names of kinds, flags and ways of authentication, as people and query strings use them."""

from chain.record import ERASURE_KIND, SEAL_KIND, RecordFlag
from gateway.preprocess.kinds import ALL
from gateway.query.errors import QueryError

SEAL, ERASURE = "seal", "erasure"
NAMES: dict[int, str] = {kind.code: kind.name for kind in ALL} | {SEAL_KIND: SEAL, ERASURE_KIND: ERASURE}
CODES: dict[str, int] = {name: code for code, name in NAMES.items()}
FLAGS: dict[str, RecordFlag] = {
    (flag.name or "").lower().replace("_", "-"): flag for flag in RecordFlag if flag is not RecordFlag.NONE
}


def kind_name(code: int) -> str:
    """The name of a kind; a number for one that this version does not know."""
    return NAMES.get(code, f"kind-{code}")


def kind_code(name: str) -> int:
    """The code of a kind's name; QueryError lists the names."""
    try:
        return CODES[name]
    except KeyError as e:
        raise QueryError(f"expected a kind of {', '.join(CODES)}, got {name!r:.80}") from e


def flag_names(flags: int) -> tuple[str, ...]:
    return tuple(name for name, flag in FLAGS.items() if flags & flag)
