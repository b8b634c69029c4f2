"""What every part for goods stands on: the site, its ledger, and the ways into its log."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chain.ledger.interface import Ledger
from chain.site import Folder
from gateway.access import Access
from gateway.closing import Closing
from gateway.config import Config
from gateway.own_log import OwnLog


@dataclass(frozen=True, slots=True)
class Ground:
    """`own_log(source, kind)` makes records of the gateway's own; `anchor` anchors what is logged now and returns when
    the ledger holds it; `log_size` counts durable entries; what must end with the gateway goes on `closing`."""

    config: Config
    folder: Folder
    ledger: Ledger
    access: Access
    own_log: Callable[[str, str], OwnLog]
    anchor: Callable[[], Awaitable[None]]
    log_size: Callable[[], int]
    closing: Closing
