"""Lets sources in: redeems one-time codes, brings keys to the contract, keeps the pipeline's book up to date.

The contract decides about keys (proof of possession, rotation by both keys, validity by log index); this module
carries requests to it and gives the device what it needs to connect.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from chain.errors import LedgerError
from chain.ledger.interface import Ledger
from chain.ledger.reading import LedgerReader
from chain.site import Folder, SiteReader
from chaincode.errors import Code, ContractError
from chaincode.identities import enrolment as enrolment_message
from chaincode.identities import rotation as rotation_message
from chaincode.identity_records import Identity, KeyRecord, Role, source_handle
from chaincode.managing import open_key
from chaincode.state import identity_key
from crypto import labels
from crypto.errors import FormatError
from crypto.keys import PrivateKey, PublicKey, algorithm_named
from crypto.note import VerifierKey
from gateway.access import Access, AccessError
from gateway.pipeline.sources import SourceBook

ASKED_AT_ONCE = 64
MAX_AHEAD = 100_000  # entries from here to where a change of key may lie


class NotAdmittedError(LedgerError):
    """This gateway is not enrolled on the ledger, and cannot enrol itself."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a code stands for, so that the device can sign its own enrolment."""

    source: str
    origin: str


class Registrar:
    """The gateway's own use of the contract's identities."""

    def __init__(
        self, folder: Folder, ledger: Ledger, access: Access, book: SourceBook, log_size: Callable[[], int],
        settled: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """`log_size` counts durable entries; `settled` waits until no commit is in flight (None: there is none)."""
        self._folder = folder
        self._origin = folder.origin
        self._settled = settled
        self._ledger, self._access, self._book, self._log_size = ledger, access, book, log_size
        self._restricted: set[str] = set()

    async def prepare(self, key: PrivateKey, vkeys: tuple[VerifierKey, ...]) -> None:
        """On a new ledger enrol the gateway itself, under its log's name, and register that log.

        Raises:
            NotAdmittedError: the organisation has its first gateway, and this one is not enrolled yet.
        """
        try:
            if (await self._known(self._origin)).current_key != key.public:
                raise LedgerError(f"{self._origin} acts on the ledger with another key than keys/gateway.pem, or none")
        except ContractError as e:
            if e.code is not Code.UNKNOWN_IDENTITY:
                raise
            await self._bootstrap(key)
        await self._register_log(vkeys)

    async def _bootstrap(self, key: PrivateKey) -> None:
        name, public = self._origin.encode(), key.public
        possession = key.sign(enrolment_message(self._origin, self._origin, public), labels.ENROL)
        args = (name, str(public.algorithm).encode(), public.raw, name, possession)
        try:
            await self._ledger.submit("identities.bootstrap", *args)
        except ContractError as e:
            if e.code is not Code.BOOTSTRAPPED:
                raise
            raise NotAdmittedError(f"{self._origin} is not enrolled, and its organisation has its first gateway") from e

    async def _register_log(self, vkeys: tuple[VerifierKey, ...]) -> None:
        """Apart from the enrolment, because a crash may have come between the two."""
        try:
            await self._ledger.evaluate("logs.head", self._origin.encode())
        except ContractError as e:
            if e.code is not Code.UNKNOWN_LOG:
                raise
            args = (self._origin.encode(), *(str(vkey).encode() for vkey in vkeys))
            await self._ledger.submit("logs.register", *args)

    async def refresh(self, source: str | None = None) -> None:
        """Read one source, or all of them, from the settings and the contract into the pipeline's book."""
        found = self._access.settings(source)
        keyed = [name for name, settings in found.items() if not settings.allow_plain]
        keys = {}
        for start in range(0, len(keyed), ASKED_AT_ONCE):  # a ledger refuses more calls than it can hold
            identities = await asyncio.gather(*map(self._identity, keyed[start : start + ASKED_AT_ONCE]))
            keys.update({identity.name: identity.keys for identity in identities})
        for name, settings in found.items():
            self._book.put(name, keys.get(name, ()), settings)

    async def changed(self, name: str) -> None:
        """The ledger has news of a source, maybe from somebody else; what is being changed here is read afterwards."""
        if name not in self._restricted:
            await self.refresh(name)

    def recall(self, reader: LedgerReader) -> None:
        """Read all sources from what is here of the ledger: as it is, or while it is away as this site last knew it."""
        for name, settings in self._access.settings().items():
            value = None if settings.allow_plain else reader.value(identity_key(self._handle(name)))
            if value is None and reader.complete and not settings.allow_plain:
                raise LedgerError(f"the ledger does not know the enrolled source {name}; restore a backup, or run fsck")
            self._book.put(name, Identity.decode(value).keys if value else (), settings)

    def _handle(self, source: str) -> str:
        return source_handle(self._origin, source)

    async def _identity(self, source: str) -> Identity:
        return await self._known(self._handle(source))

    async def _known(self, handle: str) -> Identity:
        return Identity.decode(await self._ledger.evaluate("identities.get", handle.encode()))

    def offer(self, code: str) -> Offer:
        """What this code enrols; AccessError where it is not valid."""
        return Offer(self._access.invitation(code).source, self._origin)

    async def enrol(self, code: str, algorithm: str, public_key: bytes, proof: bytes) -> tuple[str, str]:
        """Enrol a source: the contract checks the proof of possession, then the code is used up.
        Returns the source's name and its new password.

        Raises:
            AccessError: the code is not valid.
            ContractError, SealtrailError: the contract refuses the key or the proof.
        """
        invitation = self._access.invitation(code)
        if invitation.settings.allow_plain:
            raise AccessError(f"{invitation.source} is invited without a key; it needs no enrolment")
        await self._submit_key(invitation.source, PublicKey(algorithm_named(algorithm), public_key), proof)
        password = await asyncio.to_thread(self._access.redeem, code)
        await self.refresh(invitation.source)
        return invitation.source, password

    async def _submit_key(self, source: str, key: PublicKey, proof: bytes) -> None:
        """Enrol on the ledger. A device whose answer got lost comes again with the same key: that is no error."""
        args = (
            source.encode(), str(Role.SOURCE).encode(), str(key.algorithm).encode(), key.raw,
            self._origin.encode(), str(self._log_size()).encode(), proof,
        )  # fmt: skip
        try:
            await self._ledger.submit("identities.enrol", *args)
        except ContractError as e:
            if e.code is not Code.IDENTITY_EXISTS:
                raise
            current = (await self._identity(source)).current
            if current is None or current.key != key:
                raise
            key.verify(proof, enrolment_message(source, self._origin, key), labels.ENROL)

    async def rotate(self, source: str, algorithm: str, public_key: bytes, from_index: int, old: bytes,
                     new: bytes) -> None:  # fmt: skip
        """Change a source's key from a log index on; both keys have signed (labels.KEY_ROTATION)."""
        key = PublicKey(algorithm_named(algorithm), public_key)
        # 1. Both signatures before anything is restricted: whoever asks is a stranger until then. A revoked key hands
        #    over nothing, and is not narrowed to a range that would let it in again.
        present = open_key(await self._identity(source))
        if present.key == key:
            return  # the answer to the same request got lost, or something on the way made up another
        said = rotation_message(source, present.key, key, from_index)
        present.key.verify(old, said, labels.KEY_ROTATION)
        key.verify(new, said, labels.KEY_ROTATION)
        if from_index > (latest := self._log_size() + MAX_AHEAD):
            # Beyond every entry to come, a thief's next key would keep the owner's recovery from ever counting.
            raise FormatError(f"the new key may count from entry {latest} on at the latest, got {from_index}")
        # 2. No seal of the present key stands, or comes to stand, where it will not count; the contract does the rest.
        args = (self._handle(source).encode(), str(key.algorithm).encode(), key.raw, str(from_index).encode(), old, new)
        async with self._until_settled(source, lambda: self._book.narrow(source, from_index)):
            if from_index < self._log_size() and await asyncio.to_thread(self._sealed_to, source) >= from_index:
                raise FormatError(f"{source} sealed at or behind entry {from_index} with its present key")
            await self._ledger.submit("identities.rotate", *args)

    def _sealed_to(self, source: str) -> int:
        """The entry of the source's newest seal, −1 where it has none."""
        with closing(SiteReader.open(self._folder)) as reader:
            last = reader.seals.last(source)
        return last.leaf if last else -1

    async def revoke(self, source: str, reason: str, compromised_from: int | None = None) -> None:
        """End the validity of a source's key at the log's present size. What it signed from the log index
        `compromised_from` on is in doubt."""
        *former, newest = (await self._identity(source)).keys
        async with self._until_settled(source, lambda: self._book.block(source)):
            size = self._log_size()
            doubtful_from = size if compromised_from is None else min(size, compromised_from)
            await self._revoke(source, newest, size, reason, compromised_from)
            # A former key may count still, where the change of it lies ahead; and a thief may have rotated since, or
            # the device itself, so what it signed is in doubt as well. Where a call fails, the same request goes on.
            for key in former:
                if key.until is not None and key.until > doubtful_from:
                    await self._revoke(source, key, size, reason, compromised_from)

    async def _revoke(self, source: str, key: KeyRecord, size: int, reason: str, compromised_from: int | None) -> None:
        """One of its keys; a range that ended before stays as it is."""
        at = max(size, key.from_index) if key.until is None else min(key.until, max(size, key.from_index))
        args = [self._handle(source).encode(), key.key.kid, str(at).encode(), reason.encode("ascii", "replace")]
        if compromised_from is not None:
            args.append(str(max(compromised_from, key.from_index)).encode())
        await self._ledger.submit("identities.revoke", *args)

    @asynccontextmanager
    async def _until_settled(self, source: str, restrict: Callable[[], None]) -> AsyncIterator[None]:
        """Restrict the source first and let the commit in flight end, so that no seal can come to stand where its
        key does not count any more."""
        restrict()
        self._restricted.add(source)
        try:
            if self._settled is not None:
                await self._settled()
            yield
        finally:
            self._restricted.discard(source)
            await self.refresh(source)
