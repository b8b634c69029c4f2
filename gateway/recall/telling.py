"""What goes out in a recall: signed notices and answers through the outbox, and a record of each in our own log."""

import json
import time
from hashlib import sha256

from gateway.custody.errors import PartnerError
from gateway.custody.parts import Custody
from gateway.delivery.errors import DeliveryError
from gateway.delivery.outbox import Outbox
from gateway.delivery.target import Target
from gateway.recall.errors import RecallError
from gateway.recall.records import Recall
from gateway.recall.statements import MEDIA_TYPE, Heading, Notice, signed
from gateway.supply.ground import Ground

SOURCE, KIND = "recalls", "recall"


class Telling:
    """Of one gateway."""

    def __init__(self, ground: Ground, outbox: Outbox, custody: Custody) -> None:
        self._ground, self._outbox, self._custody = ground, outbox, custody
        self._log = ground.own_log(SOURCE, KIND)

    async def heading(self, recall: Recall, organisation: str) -> Heading:
        return Heading(self._ground.folder.origin, organisation, recall.id, recall.drill, recall.lot)

    async def notice(self, recall: Recall, organisation: str, packs: int) -> None:
        notice = Notice(
            await self.heading(recall, organisation), recall.grade, recall.reason, recall.deadline_us, now_us(), packs,
            recall.tier + 1,
        )  # fmt: skip
        body = signed(notice, self._ground.folder.gateway_key())
        await self.note(recall.id, "told", sha256(body).digest(), drill=recall.drill)
        await self.send(organisation, "notices", body, f"notice-{recall.id}")

    async def send(self, organisation: str, what: str, body: bytes, message: str) -> None:
        try:
            partner = self._custody.partners.of(organisation)
            headers = {"Authorization": f"Bearer {partner.token}", "Content-Type": MEDIA_TYPE}
            target = Target(
                f"recall-{what}@{organisation}", f"{partner.url}/v1/recalls/{what}", headers=headers, configured=True,
                tls_ca=str(partner.tls_ca or ""),
            )  # fmt: skip
            await self._outbox.add(target, body, message=f"msg_{sha256(message.encode()).hexdigest()[:32]}")
        except (PartnerError, DeliveryError) as e:
            raise RecallError(f"{organisation} cannot be told: {e}") from e

    async def note(self, recall: str, what: str, digest: bytes, *, drill: bool) -> int:
        payload = {"recall": recall, "what": what, "drill": drill, "digest": digest.hex()}
        return await self._log.append(json.dumps(payload).encode())


def now_us() -> int:
    return time.time_ns() // 1000
