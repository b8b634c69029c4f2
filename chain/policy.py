"""What an auditor trusts: logs, witnesses, a quorum, and ledgers, in the text form of c2sp.org/tlog-policy.

The file is chosen by whoever verifies; nothing in it comes from what is verified. The form is checked in full,
so that a typing error cannot weaken it. Two extensions: `ledger embedded <vkey>` (all keys of a ledger must sign)
and `ledger fabric <channel> <config block hash>`; `to_text(plain=True)` leaves them out for other tools. Bytes
beyond ASCII are opaque, as specified: names are compared as they stand, without any Unicode equivalence.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from chain.errors import PolicyError
from crypto.errors import SealtrailError
from crypto.note import SignatureType, VerifierKey

MAX_POLICY_BYTES = 1024 * 1024
MAX_LINES_OF_A_KIND = 62  # with the log's two, all witnesses' signatures still fit one note (crypto.note)
NONE = "none"
_FORBIDDEN = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
_CHANNEL = re.compile(r"[a-z][a-z0-9.-]{0,248}")  # Fabric, common/configtx/validator.go
_HASH = re.compile(r"[0-9a-f]{64}")
_THRESHOLD = re.compile(r"[1-9][0-9]{0,2}")
_COSIGNERS = (SignatureType.ED25519_COSIGNATURE, SignatureType.ML_DSA_44_COSIGNATURE)
_LOG_SIGNERS = (SignatureType.ED25519, SignatureType.ML_DSA_44_COSIGNATURE)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A trusted log. The key's name is the log's origin; a log with two keys has two lines."""

    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class WitnessLine:
    """A trusted witness. `name` is meaningful inside the policy only; the URL is its submission prefix."""

    name: str
    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class GroupLine:
    """Satisfied when at least `threshold` of its members, witnesses or groups, are."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One key of a trusted ledger. The key's name is the ledger's; `kind` is "embedded"."""

    kind: str
    key: VerifierKey


@dataclass(frozen=True, slots=True)
class ChannelLine:
    """A trusted Hyperledger Fabric channel: its name, and the SHA-256 of the header of a config block, 32 bytes. One
    line for each configuration that is accepted."""

    channel: str
    config_hash: bytes


@dataclass(frozen=True, slots=True)
class Policy:
    """A trust policy. `parse_policy` checks every rule; one put together by hand is checked by parsing its text."""

    logs: tuple[LogLine, ...]
    witnesses: tuple[WitnessLine, ...]
    groups: tuple[GroupLine, ...]
    quorum: str
    ledgers: tuple[LedgerLine, ...] = ()
    channels: tuple[ChannelLine, ...] = ()

    def satisfied_by(self, cosigners: Iterable[VerifierKey]) -> bool:
        """Whether witnesses with these keys, whose cosignatures were verified, make up the quorum."""
        signed = set(cosigners)
        # Groups stand after their members, so one pass decides them all.
        state = {NONE: True} | {witness.name: witness.key in signed for witness in self.witnesses}
        for group in self.groups:
            state[group.name] = sum(state[member] for member in group.members) >= group.threshold
        return state[self.quorum]

    def log_keys(self, origin: str) -> list[VerifierKey]:
        """The keys of one log, all of which must sign."""
        return [line.key for line in self.logs if line.key.name == origin]

    def witness_keys(self) -> list[VerifierKey]:
        return [line.key for line in self.witnesses]

    def ledger_keys(self, name: str) -> list[VerifierKey]:
        """The keys of one embedded ledger, all of which must sign."""
        return [line.key for line in self.ledgers if line.key.name == name]

    def to_text(self, plain: bool = False) -> str:
        """The policy file; `plain` leaves out what only Sealtrail reads. Write it as UTF-8 with
        surrogateescape where names are not UTF-8."""
        lines = [_line("log", log.key, log.url) for log in self.logs]
        lines += [_line("witness", witness.name, witness.key, witness.url) for witness in self.witnesses]
        lines += [_line("group", group.name, group.threshold, *group.members) for group in self.groups]
        lines += [_line("quorum", self.quorum)]
        if not plain:
            lines += [_line("ledger", ledger.kind, ledger.key) for ledger in self.ledgers]
            lines += [_line("ledger", "fabric", line.channel, line.config_hash.hex()) for line in self.channels]
        return "".join(lines)


def parse_policy(data: bytes | str) -> Policy:
    """Read a policy file.

    Raises:
        PolicyError: any rule of the specification is broken; the message names the line.
    """
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    # 1. Limits and the character set.
    if len(raw) > MAX_POLICY_BYTES:
        raise PolicyError(f"a policy file has at most {MAX_POLICY_BYTES} bytes, got {len(raw)}")
    if bad := _FORBIDDEN.search(raw):
        raise PolicyError(f"a policy file holds no control character but tab and newline, got {bad.group()!r}")
    if raw and not raw.endswith(b"\n"):
        raise PolicyError("the last line of a policy file must end with a newline; was the file cut off?")
    # 2. Line by line, since a line may only use names that stand before it.
    parser = _Parser()
    for number, line in enumerate(raw.decode("utf-8", "surrogateescape").split("\n")[:-1], start=1):
        try:
            parser.read(line)
        except SealtrailError as e:
            raise PolicyError(f"policy line {number}: {e}") from e
    # 3. The one line that must be there.
    if parser.quorum is None:
        raise PolicyError("a policy needs one quorum line; write 'quorum none' to demand no witnesses")
    return Policy(
        tuple(parser.logs), tuple(parser.witnesses), tuple(parser.groups), parser.quorum, tuple(parser.ledgers),
        tuple(parser.channels),
    )  # fmt: skip


@dataclass(slots=True)
class _Parser:
    logs: list[LogLine] = field(default_factory=list)
    witnesses: list[WitnessLine] = field(default_factory=list)
    groups: list[GroupLine] = field(default_factory=list)
    ledgers: list[LedgerLine] = field(default_factory=list)
    channels: list[ChannelLine] = field(default_factory=list)
    quorum: str | None = None
    names: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)

    def read(self, line: str) -> None:
        items = re.split("[ \t]+", line.strip(" \t"))
        if not items[0] or items[0].startswith("#"):
            return
        readers: dict[str, Callable[[list[str]], None]] = {
            "log": self._log, "witness": self._witness, "group": self._group, "quorum": self._quorum,
            "ledger": self._ledger,
        }  # fmt: skip
        if items[0] not in readers:
            raise PolicyError(f"unknown keyword {items[0]!r}; expected one of {', '.join(readers)}")
        readers[items[0]](items[1:])

    def _log(self, items: list[str]) -> None:
        _count(items, 1, 2, "log <vkey> [<url>]")
        key = _key(items[0], _LOG_SIGNERS, "log", self.logs)
        self.logs.append(LogLine(key, *items[1:]))

    def _witness(self, items: list[str]) -> None:
        _count(items, 2, 3, "witness <name> <vkey> [<url>]")
        key = _key(items[1], _COSIGNERS, "witness", self.witnesses)
        self._define(items[0])
        self.witnesses.append(WitnessLine(items[0], key, *items[2:]))

    def _group(self, items: list[str]) -> None:
        _count(items, 3, 2 + 2 * MAX_LINES_OF_A_KIND, "group <name> all|any|<k> <name>...")
        name, rule, members = items[0], items[1], items[2:]
        if len(self.groups) >= MAX_LINES_OF_A_KIND:
            raise PolicyError(f"a policy has at most {MAX_LINES_OF_A_KIND} groups")
        for member in members:
            if member not in self.names:
                raise PolicyError(f"group member {member!r} is not defined on a line before")
            if member in self.members:
                raise PolicyError(f"{member!r} is a group member already; a witness counts in one way only")
            self.members.add(member)
        self.groups.append(GroupLine(name, _threshold(rule, len(members)), tuple(members)))
        self._define(name)

    def _quorum(self, items: list[str]) -> None:
        _count(items, 1, 1, "quorum <name>")
        if self.quorum is not None:
            raise PolicyError("a policy has exactly one quorum line")
        if items[0] != NONE and items[0] not in self.names:
            raise PolicyError(f"quorum {items[0]!r} is not defined on a line before")
        self.quorum = items[0]

    def _ledger(self, items: list[str]) -> None:
        if items[:1] == ["fabric"]:
            self._channel(items)
            return
        _count(items, 2, 2, "ledger embedded <vkey>")
        if items[0] != "embedded":
            raise PolicyError(f"unknown kind of ledger {items[0]!r}; expected 'embedded' or 'fabric'")
        self.ledgers.append(LedgerLine(items[0], _key(items[1], _LOG_SIGNERS, "ledger", self.ledgers)))

    def _channel(self, items: list[str]) -> None:
        _count(items, 3, 3, "ledger fabric <channel> <config block hash>")
        channel, encoded = items[1:]
        if not _CHANNEL.fullmatch(channel) or not _HASH.fullmatch(encoded):
            raise PolicyError("a channel has a name like 'medicines' and a hash of 64 lower-case hexadecimal digits")
        line = ChannelLine(channel, bytes.fromhex(encoded))
        if line in self.channels or len(self.channels) >= MAX_LINES_OF_A_KIND:
            raise PolicyError(f"each configuration stands once, and at most {MAX_LINES_OF_A_KIND} of them")
        self.channels.append(line)

    def _define(self, name: str) -> None:
        if name == NONE or name in self.names:
            raise PolicyError(f"the name {name!r} is taken")
        self.names.add(name)


def _key(
    vkey: str, allowed: Collection[SignatureType], what: str, before: Collection[LogLine | WitnessLine | LedgerLine]
) -> VerifierKey:
    if len(before) >= MAX_LINES_OF_A_KIND:
        raise PolicyError(f"a policy has at most {MAX_LINES_OF_A_KIND} {what} lines")
    if any("\ud800" <= c <= "\udfff" for c in vkey):
        raise PolicyError("the key name of a vkey must be UTF-8")
    key = VerifierKey.parse(vkey)
    if key.type not in allowed:
        raise PolicyError(f"{what} keys have the signature types {[t.value for t in allowed]}, got {key.type.value}")
    if any(line.key.key == key.key for line in before):
        raise PolicyError(f"the public key of {key.name!r} stands on another {what} line already")
    return key


def _threshold(rule: str, members: int) -> int:
    if rule in ("any", "all"):
        return 1 if rule == "any" else members
    if not _THRESHOLD.fullmatch(rule) or int(rule) > members:
        raise PolicyError(f"a group's threshold is 'all', 'any' or from 1 to its {members} members, got {rule!r}")
    return int(rule)


def _count(items: list[str], least: int, most: int, form: str) -> None:
    if not least <= len(items) <= most:
        raise PolicyError(f"expected '{form}', got {len(items)} items after the keyword")


def _line(*items: object) -> str:
    return " ".join(str(item) for item in items if item is not None) + "\n"
