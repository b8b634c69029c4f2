"""Moves a running site to other signature keys: log, embedded ledger, gateway, without a pause for its sources.

Each step looks whether it is done already, so the whole is carried on after a crash at any point: the next keys lie
beside the present ones until all parts sign with them. Before the contract has taken the log's new keys nothing has
changed.

 1. log: anchor everything; the contract takes the new keys by both sets' signatures; sign the head anew
 2. evidence: keep the proof of that change, by which auditors follow from the old keys to the new ones
 3. embedded ledger: sign its head anew
 4. gateway: the contract takes the new key by both keys' signatures; acknowledgements and calls use it at once
 5. move the next keys into place; the old ones are deleted
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

from chain import handover
from chain.errors import LedgerError, UnsureError
from chain.follow import KeyChangeFile
from chain.handover import Handover, hand_over
from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.reading import open_reader
from chain.receipt import LedgerPart
from chain.site import Folder
from chain.site_keys import KeyFolder
from chaincode.identity_records import Identity
from chaincode.log_records import LogRecord
from chaincode.log_rotation import MAX_ROTATIONS
from chaincode.managing import MAX_KEYS, MAX_ROTATED_BYTES
from chaincode.state import log_key
from crypto.errors import SealtrailError
from crypto.files import write_durably
from crypto.keys import PUBLIC_BYTES, Algorithm, PrivateKey
from crypto.note import NoteSigner
from gateway.acting import ActingLedger
from gateway.anchoring import Anchorer
from gateway.keychange.errors import MigrationError
from gateway.keychange.suites import require_allowed

log = logging.getLogger(__name__)
HANDOVERS, CHANGES = "handovers", "key-changes"
RETRY_S = 2.0
KEY_RECORD_BYTES = 64  # beside the key itself, about


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a site signs with now: the algorithm of its gateway's key, that key's kid, and the vkeys of its log."""

    suite: Algorithm
    kid: bytes
    log_vkeys: tuple[str, ...]


class Migration:
    """The site's changes of keys. `on_gateway_key` is told the key that the gateway signs with now."""

    def __init__(
        self, folder: Folder, ledger: ActingLedger, embedded: EmbeddedLedger | None, anchorer: Anchorer,
        log_size: Callable[[], int], on_gateway_key: Callable[[PrivateKey, tuple[Handover, ...]], None],
    ) -> None:  # fmt: skip
        self._folder, self._ledger, self._embedded, self._anchorer = folder, ledger, embedded, anchorer
        self._log_size, self._on_gateway_key = log_size, on_gateway_key
        self._one_at_a_time = asyncio.Lock()
        self.problem = ""

    @property
    def pending(self) -> bool:
        """Whether a change was begun and has not come to its end."""
        return self._folder.key_folder.next is not None

    async def run(self, wanted: Algorithm, *, force: bool = False) -> Migrated:
        """Change all keys of the site to `wanted`, or carry the change that was begun to its end.

        Raises:
            MigrationError: a weaker algorithm without `force`, or another change is not at its end yet.
            LedgerError: the ledger is away; before it has taken the log's keys nothing has changed, else the rest
                is done as soon as it is back.
        """
        return await asyncio.shield(asyncio.create_task(self._run(wanted, force)))

    async def _run(self, wanted: Algorithm, force: bool) -> Migrated:
        async with self._one_at_a_time:
            keys = self._folder.key_folder
            following, begun = keys.next, self.pending
            if following is None:
                require_allowed(keys.suite, wanted, force=force)
                await self._require_room(wanted)
                following = await asyncio.to_thread(keys.make_next, wanted)
            elif following.suite != wanted:
                raise MigrationError(f"the change to {following.suite} is not at its end yet; wait for it")
            try:
                return await self._go_on(following)
            except SealtrailError as e:
                if not begun and not isinstance(e, UnsureError):
                    await self._as_before(following)
                raise

    async def _require_room(self, wanted: Algorithm) -> None:
        """That the contract refuses no step for the number of keys, once others are done."""
        identity, record = await self._identity(), await self._log_record()
        full = len(identity.encode()) + PUBLIC_BYTES[wanted] + KEY_RECORD_BYTES > MAX_ROTATED_BYTES
        if full or len(identity.keys) >= MAX_KEYS or len(record.former) >= MAX_ROTATIONS:
            raise MigrationError(f"the contract takes no more keys of {self._folder.origin}; begin a new log")

    async def _as_before(self, following: KeyFolder) -> None:
        """Drop the next keys where the ledger surely has not taken them, and will not; else they are needed."""
        with suppress(SealtrailError):
            taken = (await self._log_record()).vkeys == _vkeys(following.log_signers())
            if not taken:
                await asyncio.to_thread(self._folder.key_folder.drop_next)

    async def finish(self) -> None:
        """Carry a change that a crash or an absent ledger interrupted to its end; told in `problem` meanwhile."""
        while self.pending:
            try:
                async with self._one_at_a_time:
                    if following := self._folder.key_folder.next:
                        await self._go_on(following)
            except Exception as e:  # outermost boundary of this task: it must outlive any fault, and say so
                if self.problem != str(e):
                    log.warning("the change of keys waits: %s", e, exc_info=not isinstance(e, SealtrailError))
                self.problem = str(e) or repr(e)
                await asyncio.sleep(RETRY_S)
        self.problem = ""

    async def _go_on(self, following: KeyFolder) -> Migrated:
        size = await self._change_log(following)
        if self._embedded is not None:
            await self._embedded.change_signers(following.ledger_signers())
        key = await self._change_gateway(following)
        await asyncio.to_thread(self._folder.key_folder.promote, size)
        done = Migrated(key.public.algorithm, key.public.kid, tuple(map(str, self._folder.log_vkeys())))
        log.info("the site signs with %s now, key %s", done.suite, done.kid.hex())
        return done

    # -- the log

    async def _change_log(self, following: KeyFolder) -> int:
        """Up to which size the old keys signed."""
        signers = following.log_signers()
        if (await self._log_record()).vkeys != _vkeys(signers):
            ledgers = _vkeys(following.ledger_signers()) if self._embedded else ()
            await self._anchorer.change_keys(signers, self._folder.log_signers(), tuple(map(str, ledgers)))
        record = await self._log_record()
        size = record.former[-1].until
        await self._anchorer.use_keys(signers, size)
        if self._embedded is not None:
            await asyncio.to_thread(self._keep_evidence, len(record.former))
        return size

    async def _log_record(self) -> LogRecord:
        return LogRecord.decode(await self._ledger.evaluate("logs.get", self._folder.origin.encode()))

    def _keep_evidence(self, number: int) -> None:
        """Of the site's change of this number, on an embedded ledger, while its old keys vouch for it. Elsewhere the
        ledger's own keys did not change."""
        path = self._folder.root / CHANGES / f"{number:04}.json"
        if path.exists():
            return
        with closing(open_reader(self._folder)) as reader:
            part: LedgerPart | None = reader.evidence_for(log_key(self._folder.origin))
        if part is None:
            raise LedgerError(f"the ledger shows no change of the keys of {self._folder.origin}; run fsck")
        path.parent.mkdir(mode=0o755, exist_ok=True)
        write_durably(path, KeyChangeFile.of(part).to_json())

    # -- the gateway

    async def _change_gateway(self, following: KeyFolder) -> PrivateKey:
        old, new = self._folder.gateway_key(), following.gateway_key()
        async with self._ledger.alone() as ledger:
            present = (await self._identity()).keys[-1]
            if present.until is not None or present.key != new.public:
                # Where a thief made the key before count from far ahead on, this one does so too.
                from_index = max(self._log_size(), present.from_index)
                change = await asyncio.to_thread(self._prepared, old, new, from_index)
                await ledger.submit("identities.rotate", *change.arguments())
            self._ledger.act_as(new)
        self._on_gateway_key(new, handovers_of(self._folder, new))
        return new

    async def _identity(self) -> Identity:
        return Identity.decode(await self._ledger.evaluate("identities.get", self._folder.origin.encode()))

    def _prepared(self, old: PrivateKey, new: PrivateKey, from_index: int) -> Handover:
        """The statement, on disk before the ledger has it: sources that are away are told by it later."""
        known = read_handovers(self._folder)
        for change in known:
            if change.new == new.public:
                return change
        change = hand_over(self._folder.origin, old, new, from_index)
        known = handover.leading_to(known, old.public)
        write_durably(self._folder.root / HANDOVERS, handover.encode_all((*known, change)))
        return change


def read_handovers(folder: Folder) -> tuple[Handover, ...]:
    """All changes of the gateway's key that were ever prepared, oldest first."""
    path = folder.root / HANDOVERS
    return handover.decode_all(path.read_bytes()) if path.exists() else ()


def handovers_of(folder: Folder, key: PrivateKey) -> tuple[Handover, ...]:
    """Those by which sources follow to this key."""
    return handover.leading_to(read_handovers(folder), key.public)


def _vkeys(signers: tuple[NoteSigner, ...]) -> tuple[object, ...]:
    return tuple(signer.vkey for signer in signers)


async def taken_up(folder: Folder, ledger: ActingLedger) -> tuple[tuple[NoteSigner, ...], PrivateKey]:
    """What the site signs with as it starts: its present keys, and in the midst of a change those that its ledger has
    taken already. LedgerError where a ledger elsewhere is away."""
    signers, key = folder.log_signers(create=True), folder.gateway_key(create=True)
    following = folder.key_folder.next
    if following is None:
        return signers, key
    origin = folder.origin.encode()
    if LogRecord.decode(await ledger.evaluate("logs.get", origin)).vkeys == _vkeys(following.log_signers()):
        signers = following.log_signers()
    if Identity.decode(await ledger.evaluate("identities.get", origin)).current_key == following.gateway_key().public:
        key = following.gateway_key()
        ledger.act_as(key)
    return signers, key
