"""chaincode.transaction.Transaction over a peer: state is read from and written to the peer's simulation.

The peer is trusted for the state, as every chaincode trusts its peer; other organisations' peers simulate the
same call, and only equal results are endorsed.
"""

from collections.abc import AsyncIterator
from typing import Any

from chaincode.server.call import Call
from chaincode.server.errors import PeerError
from chaincode.server.exchange import Exchange
from chaincode.server.wire import ChaincodeEvent, DecodeError, KeyValue, Kind, shim


class PeerTransaction:
    """One transaction that a peer simulates."""

    def __init__(self, call: Call, exchange: Exchange) -> None:
        self.id, self.caller, self.timestamp_us = call.id, call.caller, call.timestamp_us
        self.event: Any = None
        self._exchange = exchange
        self._open: dict[str, None] = {}

    async def get(self, key: str) -> bytes | None:
        """Fabric answers with no bytes where there is no value, and stores no empty values."""
        return await self._exchange.ask(Kind.GET_STATE, shim.GetState(key=key).SerializeToString()) or None

    async def put(self, key: str, value: bytes) -> None:
        await self._exchange.ask(Kind.PUT_STATE, shim.PutState(key=key, value=value).SerializeToString())

    async def range(self, start: str, end: str) -> AsyncIterator[tuple[str, bytes]]:
        """A peer sends a range in pages. `close` closes what the contract did not read to its end."""
        question = shim.GetStateByRange(startKey=start, endKey=end)
        page = await self._page(Kind.GET_STATE_BY_RANGE, question)
        while True:
            for pair in _pairs(page):
                yield pair
            if not page.has_more:
                return
            page = await self._page(Kind.QUERY_STATE_NEXT, shim.QueryStateNext(id=page.id))

    async def _page(self, kind: int, question: Any) -> Any:
        answer = await self._exchange.ask(kind, question.SerializeToString())
        try:
            page = shim.QueryResponse.FromString(answer)
        except DecodeError as e:
            raise PeerError("the peer's page of a range cannot be read") from e
        self._open.pop(page.id, None)
        if page.has_more:
            self._open[page.id] = None
        return page

    def set_event(self, name: str, payload: bytes) -> None:
        self.event = ChaincodeEvent(event_name=name, payload=payload)

    async def close(self) -> None:
        """Close the ranges that are still open at the peer."""
        while self._open:
            opened, _ = self._open.popitem()
            await self._exchange.ask(Kind.QUERY_STATE_CLOSE, shim.QueryStateClose(id=opened).SerializeToString())


def _pairs(page: Any) -> list[tuple[str, bytes]]:
    try:
        pairs = [KeyValue.FromString(result.resultBytes) for result in page.results]
    except DecodeError as e:
        raise PeerError("a pair in the peer's page of a range cannot be read") from e
    return [(pair.key, pair.value) for pair in pairs]
