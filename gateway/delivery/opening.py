"""The outbox of a gateway, as its configuration has it."""

import asyncio
import time
from contextlib import closing

from chain.site import Folder
from chain.store.database import Database
from chain.store.notices import Notices
from gateway.delivery.carriers import Carrier, MadeLater
from gateway.delivery.outbox import Outbox
from gateway.supply.ground import Ground


def open_outbox(ground: Ground, mail: MadeLater) -> Outbox:
    """To be entered. It carries http and https, and by `mail` smtp and smtps; what it loses is an alert of the kind
    `undelivered`."""
    wanted = ground.config.delivery
    http = MadeLater(lambda: _http_carrier(ground))
    if wanted.tls_ca:  # which may be no authority: that is said at the start
        http.make()
        mail.make()
    carriers: dict[str, Carrier] = {"http": http, "https": http, "smtp": mail, "smtps": mail}

    async def alert(name: str, text: str) -> None:
        await asyncio.to_thread(note_alert, ground.folder, "undelivered", name, text)

    return Outbox(
        ground.folder.outbox, carriers, patience=wanted.patience, most_bytes=wanted.max_bytes, alert=alert,
    )  # fmt: skip


def _http_carrier(ground: Ground) -> Carrier:
    from gateway.delivery.http import HttpCarrier

    return HttpCarrier(ground.config.delivery.rule, tls_ca=ground.config.delivery.tls_ca)


def note_alert(folder: Folder, kind: str, source: str, *texts: str) -> None:
    """Put an alert, or several, beside those of the pipeline in one commit; blocks for moments."""
    with closing(Database(folder.database)) as db, db.transaction() as tx:
        notices = Notices(db)
        for text in texts:
            notices.alert(tx, time.time_ns() // 1000, kind, source, text, None)
