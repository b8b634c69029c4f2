"""How a site and its ledger meet at a start, and what news from a ledger elsewhere sets going.

The ledger is believed as far as its proofs and the anchors go: a log that contradicts it signs nothing. A ledger
elsewhere may be away: a site that it knows takes events meanwhile, and signs nothing before the comparison.
"""

import logging
from contextlib import closing

from chain.errors import LedgerError
from chain.ledger.interface import LedgerEvent
from chain.ledger.reading import open_reader
from chain.site import Folder
from crypto import cbor
from crypto.keys import PrivateKey
from crypto.note import NoteSigner
from gateway.acting import ActingLedger
from gateway.anchoring import Anchorer
from gateway.enrolment import NotAdmittedError, Registrar
from gateway.joining import write_request
from gateway.keychange.migration import taken_up
from gateway.ledgers import SiteLedger

log = logging.getLogger(__name__)
MAX_EVENT_BYTES = 8 * 1024


async def keys_of_now(folder: Folder, ledger: ActingLedger, signers: tuple[NoteSigner, ...], key: PrivateKey
                      ) -> tuple[tuple[NoteSigner, ...], PrivateKey]:  # fmt: skip
    """In the midst of a change the keys that the ledger has taken; those given while a ledger elsewhere is away."""
    if folder.key_folder.next is None:
        return signers, key
    try:
        return await taken_up(folder, ledger)
    except LedgerError as e:
        log.warning("the ledger is away in the midst of a change of keys: %s", e)
        return signers, key


async def meet(
    folder: Folder, side: SiteLedger, registrar: Registrar, anchorer: Anchorer, signers: tuple[NoteSigner, ...],
    key: PrivateKey,
) -> None:  # fmt: skip
    """Enrol on the ledger and compare it with the log."""
    try:
        await registrar.prepare(key, tuple(signer.vkey for signer in signers))
        await anchorer.check()  # before the sources: a ledger that was put back may not know them
        if side.kept is None:
            with closing(open_reader(folder)) as reader:
                registrar.recall(reader)  # many times quicker than asking the contract for each
        else:
            await registrar.refresh()
    except NotAdmittedError as e:
        if side.kept is None:
            raise
        request = write_request(folder.root, folder.origin, key)
        raise NotAdmittedError(f"{e}; there run `sealtrail gateway admit {request}`, then start again") from e
    except LedgerError as e:
        if side.kept is None or not side.may_be_away:
            raise
        log.warning("the ledger is away, events are logged and nothing is signed until it is back: %s", e)
        registrar.recall(side.kept)
    if side.kept and (size := side.kept.newest_size(folder.origin)):
        await anchorer.proved(size)  # a crash may have come after the proof was kept and before this


async def heard(registrar: Registrar, anchorer: Anchorer, event: LedgerEvent) -> None:
    """News from a ledger elsewhere, its proof being kept by now."""
    items = cbor.decode(event.payload, MAX_EVENT_BYTES)
    if event.name == "logs.fork":
        anchorer.look_again()
    elif event.name == "logs.anchored":
        await anchorer.proved(items[1])
    elif event.name.startswith("identities."):
        await registrar.changed(items[0])
