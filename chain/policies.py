"""The policy that trusts one site: its log's and its ledger's keys, and the witnesses its gateway demands."""

from chain.policy import LedgerLine, LogLine, Policy, parse_policy
from chain.site import Folder


def site_policy(folder: Folder) -> Policy:
    """Built from the public halves of the keys in the data directory and from the gateway's witness policy."""
    logs = tuple(LogLine(key) for key in folder.log_vkeys())
    ledgers = tuple(LedgerLine("embedded", key) for key in folder.ledger_vkeys())
    if not folder.witness_policy.exists():
        return Policy(logs, (), (), "none", ledgers)
    demanded = parse_policy(folder.witness_policy.read_bytes())
    return Policy(logs, demanded.witnesses, demanded.groups, demanded.quorum, ledgers)
