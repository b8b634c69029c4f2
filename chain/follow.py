"""Following a site from its old keys to new ones: what an auditor who trusts the old ones needs.

The file is a ledger transaction, `logs.rotate`, with its proof under the ledger's keys of that time. In it the log's
old keys say which are the new ones, of the log and of the embedded ledger. Untrusted until `follow` has verified it
under the policy that the auditor has; do so while the old algorithm still holds.
"""

from dataclasses import replace

import msgspec

from chain.errors import PolicyError, ReceiptError
from chain.ledger.proof import LedgerCall, Prover
from chain.policy import LedgerLine, LogLine, Policy, parse_policy
from chain.receipt import LedgerPart
from chaincode.log_rotation import KeyChange
from crypto import labels
from crypto.errors import SignatureError
from crypto.note import VerifierKey

FORMAT = "sealtrail-key-change/v1"
MAX_BYTES = 2 * 1024 * 1024


class KeyChangeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file, in JSON; bytes are base64."""

    format: str
    change: LedgerPart

    @classmethod
    def of(cls, part: LedgerPart) -> "KeyChangeFile":
        return cls(FORMAT, part)

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def parse_key_change(data: bytes) -> KeyChangeFile:
    """ReceiptError where `data` is no such file."""
    if len(data) > MAX_BYTES:
        raise ReceiptError(f"a file of changed keys has at most {MAX_BYTES} bytes, got {len(data)}")
    try:
        found = msgspec.json.decode(data, type=KeyChangeFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise ReceiptError(f"not a file of changed keys: {e}") from e
    if found.format != FORMAT:
        raise ReceiptError(f"expected the format {FORMAT}, got {found.format[:40]!r}")
    return found


def follow(policy: Policy, file: KeyChangeFile) -> Policy:
    """The same policy with the new keys in the place of the old ones.

    Raises:
        SealtrailError: the change is not on a ledger of the policy, or is not signed by the keys in the policy.
    """
    # 1. The transaction is on a ledger of the policy.
    call = Prover(policy, 1).prove(file.change)
    if call.function != "logs.rotate" or len(call.args) < 3:
        raise ReceiptError(f"the file shows a transaction of {call.function!r}, expected logs.rotate")
    change = KeyChange.decode(call.args[0])
    # 2. It changes the very keys that the policy trusts, and these and the new ones all signed it.
    trusted = policy.log_keys(change.origin)
    if not trusted or {str(key) for key in trusted} != set(change.old):
        raise PolicyError(f"the change is from other keys of {change.origin!r} than those in the policy")
    new = _require_signed(change, call)
    # 3. One line for one line, and what is put together is read as strictly as any policy.
    logs = [line for line in policy.logs if line.key.name != change.origin] + [LogLine(key) for key in new]
    ledgers = policy.ledgers
    if change.ledger:
        fresh = tuple(LedgerLine("embedded", VerifierKey.parse(vkey)) for vkey in change.ledger)
        if {line.key.name for line in fresh} != {call.ledger}:
            raise PolicyError(f"the change names keys of another ledger than {call.ledger!r}, on which it stands")
        ledgers = (*(line for line in ledgers if line.key.name != call.ledger), *fresh)
    return parse_policy(replace(policy, logs=tuple(logs), ledgers=ledgers).to_text())


def _require_signed(change: KeyChange, call: LedgerCall) -> list[VerifierKey]:
    old, new = ([VerifierKey.parse(vkey) for vkey in vkeys] for vkeys in (change.old, change.new))
    if any(key.name != change.origin for key in new) or len(call.args) != 2 + len(old) + len(new):
        raise SignatureError("the change of keys lacks a signature, or names a key of another log")
    for key, signature in zip((*old, *new), call.args[2:], strict=True):
        key.key.verify(signature, call.args[0], labels.LOG_KEY_ROTATION)
    return new
