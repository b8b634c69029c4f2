"""Recovery of a gateway whose key was lost or stolen, by the offline key that was registered for it.

The contract believes the offline key and nothing else. The new key is on disk before it is asked for, so a crash is
followed by the same again. Log and ledger keys are others; they are changed by a migration.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from chain.ledger.interface import Ledger
from chain.site import Folder, Lock, SiteReader
from chain.site_keys import GATEWAY
from chaincode.identity_records import Identity
from chaincode.recovery import recovering, registration
from crypto import labels
from crypto.files import private_key_at, read_secret, sync_folder, write_secret
from crypto.keys import PrivateKey
from gateway.config import Config
from gateway.keychange.errors import MigrationError
from gateway.ledgers import open_channel, open_ledger

RECOVERED = "recovered.pem"


async def register(config: Config, offline: PrivateKey, former: PrivateKey | None) -> None:
    """Make `offline` the recovery key of this gateway. Where there is one already, `former` is that key and signs; else
    the gateway's own key does. The gateway may run meanwhile."""
    folder = Folder.existing(config.data)
    key = folder.gateway_key()
    async with _opened(config, folder, key) as ledger:
        identity = await _identity(ledger, folder)
        if (identity.recovery is None) != (former is None):
            there = "has a recovery key, which must sign" if identity.recovery else "has no recovery key yet"
            raise MigrationError(f"{folder.origin} {there}")
        signer, public = former or key, offline.public
        said = registration(identity, signer.public, public)
        signatures = (signer.sign(said, labels.RECOVERY_KEY), offline.sign(said, labels.RECOVERY_KEY))
        args = (folder.origin.encode(), str(public.algorithm).encode(), public.raw, *signatures)
        await ledger.submit("identities.recovery", *args)


async def recover(config: Config, offline: PrivateKey, compromised_from: int | None) -> PrivateKey:
    """Give this stopped gateway a new key in the place of the one that was lost or stolen; returns it. What it signed
    from the log index `compromised_from` on is in doubt."""
    folder = Folder.existing(config.data)
    with Lock(folder.root):
        folder.key_folder.finish()
        if folder.key_folder.next is not None:
            raise MigrationError("a change of keys is not at its end; start the gateway once, then stop it again")
        _forget_what_is_done(folder)
        new = private_key_at(folder.keys / RECOVERED, folder.key_folder.suite)
        async with _opened(config, folder, new) as ledger:
            identity = await _identity(ledger, folder)
            if identity.current_key != new.public:
                await ledger.submit("identities.recover", *_arguments(folder, identity, offline, new, compromised_from))
        write_secret(folder.keys / GATEWAY, new.to_pem())  # written, not moved: it may be locked under its name
        (folder.keys / RECOVERED).unlink()
        sync_folder(folder.keys)
    return new


def _forget_what_is_done(folder: Folder) -> None:
    """Of a recovery that was cut short after its last step but one: its key is the gateway's, and may be the one that
    was stolen since."""
    gateway, recovered = folder.keys / GATEWAY, folder.keys / RECOVERED
    if gateway.exists() and recovered.exists() and read_secret(gateway) == read_secret(recovered):
        recovered.unlink()


def _arguments(
    folder: Folder, identity: Identity, offline: PrivateKey, new: PrivateKey, since: int | None
) -> tuple[bytes, ...]:
    with closing(SiteReader.open(folder)) as reader:
        size = reader.entries.size()
    newest = identity.keys[-1]
    from_index = max(size, newest.from_index, newest.until or 0)
    said = recovering(identity, new.public, from_index, since)
    args = [
        folder.origin.encode(), str(new.public.algorithm).encode(), new.public.raw, str(from_index).encode(),
        offline.sign(said, labels.KEY_RECOVERY), new.sign(said, labels.KEY_RECOVERY),
    ]  # fmt: skip
    return (*args, *([] if since is None else [str(since).encode()]))


async def _identity(ledger: Ledger, folder: Folder) -> Identity:
    return Identity.decode(await ledger.evaluate("identities.get", folder.origin.encode()))


@asynccontextmanager
async def _opened(config: Config, folder: Folder, key: PrivateKey) -> AsyncIterator[Ledger]:
    """The site's ledger as the holder of `key` sees it."""
    ledger: Ledger = open_channel(config.fabric, key) if config.fabric else open_ledger(config, folder, key).ledger
    try:
        yield ledger
    finally:
        await ledger.close()
