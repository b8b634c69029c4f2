"""The alarms of a gateway, opened and running, with what they hear of the ledger."""

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.alarms.parts import Alarms
from gateway.alarms.settings import AlarmTarget
from gateway.alarms.store import AlarmStore
from gateway.alarms.telling import PREFIX
from gateway.coldchain.following import Following, Heed
from gateway.coldchain.parts import ColdChain
from gateway.delivery.outbox import Outbox
from gateway.supply.ground import Ground

if TYPE_CHECKING:
    from gateway.alarms.mail import MailCarrier


async def open_alarms(ground: Ground, cold: ColdChain, outbox: Outbox, *heed: Heed) -> Alarms:
    """Everything ends with the gateway. Events of the ledger go to the cold chain first: alarms ask it what concerns
    us. `heed`: who else hears of them."""
    store = await asyncio.to_thread(AlarmStore, ground.folder.root)
    ground.closing.callback(store.close)
    made = Alarms(ground, store, cold, outbox)
    ground.closing.push_async_callback(made.end)
    await made.telling.start()
    ground.closing.task(made.telling.run())
    ground.closing.task(made.run())
    made.following = Following(ground.ledger, cold.after, cold.heeded, (cold.heed, made.heed, *heed))
    ground.closing.task(made.following.run())
    return made


def mail_carrier(ground: Ground) -> "MailCarrier":
    """Carries mail to the servers of the configuration."""
    from gateway.alarms.mail import MailCarrier

    logins = {PREFIX + one.name: (one.username, one.password_file) for one in _mails(ground) if one.password_file}
    return MailCarrier(logins, ground.config.delivery.tls_ca)


def _mails(ground: Ground) -> list[AlarmTarget]:
    return [one for one in ground.config.alarms if urlsplit(one.smtp).scheme]
