"""The alarms of a gateway, opened and running, and the carrier of their mail."""

import asyncio

from gateway.alarms.parts import Alarms
from gateway.alarms.store import AlarmStore
from gateway.alarms.telling import PREFIX
from gateway.coldchain.parts import ColdChain
from gateway.delivery.carriers import Carrier, MadeLater
from gateway.delivery.outbox import Outbox
from gateway.supply.ground import Ground


async def open_alarms(ground: Ground, cold: ColdChain, outbox: Outbox) -> Alarms:
    """Everything ends with the gateway."""
    store = await asyncio.to_thread(AlarmStore, ground.folder.root)
    ground.closing.callback(store.close)
    made = Alarms(ground, store, cold, outbox)
    ground.closing.push_async_callback(made.end)
    await made.telling.start()
    ground.closing.task(made.telling.run())
    ground.closing.task(made.run())
    return made


def mail_carrier(ground: Ground) -> MadeLater:
    """Carries mail to the servers of the configuration."""
    return MadeLater(lambda: _mail_carrier(ground))


def _mail_carrier(ground: Ground) -> Carrier:
    from gateway.delivery.mail import MailCarrier

    mails = [one for one in ground.config.alarms if one.smtp]
    logins = {PREFIX + one.name: (one.username, one.password_file) for one in mails if one.password_file}
    return MailCarrier(logins, ground.config.delivery.tls_ca)
