"""Every transaction is answered: COMPLETED with a result (200) or the contract's refusal (400), else ERROR.

A refusal's text is `code: explanation`. What is no refusal of the contract is not endorsed either, and says so
in an ERROR; an unexpected exception gives its type only, since its text may hold what the client sent.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from chaincode.contract import FUNCTIONS
from chaincode.errors import ContractError
from chaincode.server.call import Call, read_call
from chaincode.server.exchange import Exchange
from chaincode.server.transaction import PeerTransaction
from chaincode.server.wire import Kind, Response
from chaincode.transaction import Transaction
from crypto.errors import SealtrailError

log = logging.getLogger(__name__)
Contract = Callable[[Transaction, str, Sequence[bytes]], Awaitable[bytes]]
OK, REFUSED = 200, 400
MAX_TEXT = 1000


async def answer(message: Any, exchange: Exchange, invoke: Contract, seconds: float) -> Any:
    """The answer to a TRANSACTION message, whatever the contract does within `seconds`. Raises CancelledError only,
    and only where this task is being cancelled."""
    began, function, outcome = time.monotonic(), "", "ok"
    try:
        async with asyncio.timeout(seconds):
            call = read_call(message)
            function = call.function if call.function in FUNCTIONS else "unknown"
            return await _completed(call, exchange, invoke)
    except ContractError as e:
        outcome = str(e.code)
        return exchange.message(Kind.COMPLETED, Response(status=REFUSED, message=_text(e)).SerializeToString())
    except SealtrailError as e:
        outcome = type(e).__name__
        return _error(exchange, _text(e))
    except BaseException as e:  # the outermost boundary: not even a contract that exits may end the server
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            outcome = "cancelled"
            raise
        outcome = type(e).__name__
        return _error(exchange, f"the chaincode failed ({outcome}); its log says where", _where(e))
    finally:
        spent = round((time.monotonic() - began) * 1000, 1)
        fields = {"tx": exchange.txid, "channel": exchange.channel, "function": function, "ms": spent}
        log.info("transaction", extra={"fields": fields | {"outcome": outcome}})


async def _completed(call: Call, exchange: Exchange, invoke: Contract) -> Any:
    tx = PeerTransaction(call, exchange)
    result = await invoke(tx, call.function, call.args)
    await tx.close()
    completed = exchange.message(Kind.COMPLETED, Response(status=OK, payload=result).SerializeToString())
    if tx.event is not None:
        completed.chaincode_event.CopyFrom(tx.event)
    return completed


def _error(exchange: Exchange, text: str, where: str = "") -> Any:
    fields = {"tx": exchange.txid, "channel": exchange.channel, "text": text}
    log.error("transaction failed", extra={"fields": fields | ({"where": where} if where else {})})
    return exchange.message(Kind.ERROR, text.encode())


def _text(e: Exception) -> str:
    """Bounded, and always valid UTF-8."""
    return str(e)[:MAX_TEXT].encode("utf-8", "replace").decode()


def _where(e: BaseException) -> str:
    """The places of a traceback, without the exception's text."""
    return " < ".join(f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(e.__traceback__)[::-1])
