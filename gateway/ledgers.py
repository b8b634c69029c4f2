"""Opens the ledger that the configuration names: the one in this process, one that gateways of this machine share, or a
Fabric channel.

A site keeps to one ledger for ever: its identities and anchors are there. Fabric's packages are imported only where
Fabric is configured.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chain.errors import LedgerError, StoreError
from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.fabric.kept import FILE as KEPT_FILE
from chain.ledger.fabric.kept import KeptProofs
from chain.ledger.reading import ledger_signers
from chain.ledger.store import FILE as EMBEDDED_FILE
from chain.site import Folder
from crypto.keys import PrivateKey
from gateway.acting import ActingLedger
from gateway.config import Config, FabricConfig, SharedLedgerConfig

if TYPE_CHECKING:
    from chain.ledger.fabric.keeper import OnKept, ProofKeeper
    from chain.ledger.fabric.ledger import FabricLedger

PATIENCE_S = 3.0  # the gateway tries again by itself, and shows meanwhile that it waits


@dataclass(frozen=True, slots=True)
class SiteLedger:
    """The site's ledger; where it is elsewhere, with the proofs that are kept here of it."""

    ledger: ActingLedger
    kept: KeptProofs | None = None
    embedded: EmbeddedLedger | None = None

    @property
    def may_be_away(self) -> bool:
        """Whether the site can begin without its ledger: it is known there, and its sources are known here."""
        return self.kept is not None and self.kept.place >= 0

    def keeper(self, origin: str, on_kept: "OnKept") -> "ProofKeeper | None":
        """What follows a ledger elsewhere; None for the embedded one, whose proofs are always at hand."""
        if self.kept is None:
            return None
        from chain.ledger.fabric.keeper import ProofKeeper

        return ProofKeeper(self.ledger, self.kept, origin, on_kept)

    async def close(self) -> None:
        await self.ledger.close()
        if self.kept is not None:
            self.kept.close()


def open_ledger(config: Config, folder: Folder, key: PrivateKey) -> SiteLedger:
    """The configured ledger as the holder of `key` sees it; StoreError where the site is on the other kind."""
    if config.fabric is not None:
        if (folder.ledger / EMBEDDED_FILE).exists():
            raise StoreError(f"{folder.root} is anchored on the embedded ledger; begin a new log to anchor on Fabric")
        return SiteLedger(ActingLedger(open_channel(config.fabric, key)), KeptProofs(folder.ledger))
    if (folder.ledger / KEPT_FILE).exists():
        raise StoreError(f'{folder.root} is anchored on Fabric; set ledger = "fabric" and [fabric] again')
    if config.shared_ledger is not None:
        return _open_shared(config.shared_ledger, folder, key)
    if folder.shared_ledger is not None:
        raise StoreError(f"{folder.root} is anchored on a shared ledger; set [shared_ledger] again")
    folder.ledger_signers(create=True)
    embedded = EmbeddedLedger(folder.ledger, folder.ledger_name, ledger_signers(folder), key)
    return SiteLedger(ActingLedger(embedded), embedded=embedded)


def _open_shared(settings: SharedLedgerConfig, folder: Folder, key: PrivateKey) -> SiteLedger:
    """Its keys are not this site's to change, so it is not given as the site's own."""
    if (folder.root / "ledger" / EMBEDDED_FILE).exists():
        raise StoreError(f"{folder.root} is anchored on a ledger of its own; begin a new log to anchor on a shared one")
    if folder.shared_ledger not in (None, settings.folder.resolve()):
        raise StoreError(f"{folder.root} is anchored on the ledger in {folder.shared_ledger}; it keeps to that one")
    folder.share_ledger(settings.folder, settings.name)
    signers, organisation = ledger_signers(folder), settings.organisation
    return SiteLedger(
        ActingLedger(EmbeddedLedger(folder.ledger, folder.ledger_name, signers, key, organisation=organisation))
    )


def open_channel(settings: FabricConfig, key: PrivateKey) -> "FabricLedger":
    """The Fabric channel of a connection profile as the holder of `key` sees it."""
    from chain.ledger.fabric.evidence import CHAINCODE
    from chain.ledger.fabric.ledger import FabricLedger
    from chain.ledger.fabric.profile import read_profile

    profile = read_profile(settings.profile)
    if profile.chaincode != CHAINCODE:
        raise LedgerError(f"{settings.profile}: the chaincode must be named {CHAINCODE}, got {profile.chaincode!r}")
    hashes = tuple(map(bytes.fromhex, settings.config_hashes))
    return FabricLedger(profile, key, config_hashes=hashes, patience_s=PATIENCE_S)
