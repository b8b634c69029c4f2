"""The policy that trusts one site: its log's keys, its ledger, and the witnesses its gateway demands."""

from contextlib import closing

from chain.ledger.reading import open_reader
from chain.policy import LogLine, Policy, parse_policy
from chain.site import Folder
from crypto.note import VerifierKey


def site_policy(folder: Folder) -> Policy:
    """Built from the public halves of the keys in the data directory, from what the site has of its ledger, and from
    the gateway's witness policy."""
    logs = tuple(LogLine(key) for key in folder.log_vkeys())
    with closing(open_reader(folder)) as reader:
        ledgers, channels = reader.lines()
    demanded = _demanded(folder)
    if demanded is None:
        return Policy(logs, (), (), "none", ledgers, channels)
    return Policy(logs, demanded.witnesses, demanded.groups, demanded.quorum, ledgers, channels)


def witness_keys(folder: Folder) -> tuple[VerifierKey, ...]:
    """Keys of the witnesses that the gateway demanded at its last start."""
    demanded = _demanded(folder)
    return tuple(line.key for line in demanded.witnesses) if demanded else ()


def _demanded(folder: Folder) -> Policy | None:
    return parse_policy(folder.witness_policy.read_bytes()) if folder.witness_policy.exists() else None
