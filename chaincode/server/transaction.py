"""chaincode.transaction.Transaction over a peer: state is read from and written to the peer's simulation.

The peer is trusted for the state, as every chaincode trusts its peer; other organisations' peers simulate the
same call, and only equal results are endorsed.
"""

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

from chaincode.errors import StateError
from chaincode.server.call import Call, time_us
from chaincode.server.errors import PeerError
from chaincode.server.exchange import Exchange
from chaincode.server.wire import ChaincodeEvent, DecodeError, KeyModification, KeyValue, Kind, shim
from chaincode.transaction import Version


class PeerTransaction:
    """One transaction that a peer simulates. `transient` is what the client gave to the peers alone: it is in no
    transaction and reaches the ledger only where the contract writes it."""

    def __init__(self, call: Call, exchange: Exchange) -> None:
        self.id, self.caller, self.timestamp_us = call.id, call.caller, call.timestamp_us
        self.transient = call.transient
        self.event: Any = None
        self._exchange = exchange
        self._open: dict[str, None] = {}

    async def get(self, key: str) -> bytes | None:
        """Fabric answers with no bytes where there is no value, and stores no empty values."""
        return await self._exchange.ask(Kind.GET_STATE, shim.GetState(key=key).SerializeToString()) or None

    async def put(self, key: str, value: bytes) -> None:
        """To Fabric an empty value is a deletion."""
        if not key or not value:
            raise StateError(f"state keys and values are never empty, got one for {key!r}")
        await self._exchange.ask(Kind.PUT_STATE, shim.PutState(key=key, value=value).SerializeToString())

    async def range(self, start: str, end: str) -> AsyncIterator[tuple[str, bytes]]:
        question = shim.GetStateByRange(startKey=start, endKey=end)
        async for data in self._results(Kind.GET_STATE_BY_RANGE, question):
            pair = _parsed(KeyValue, data)
            yield pair.key, pair.value

    async def history(self, key: str) -> AsyncIterator[Version]:
        """The peer's history database, which holds valid transactions only."""
        async for data in self._results(Kind.GET_HISTORY_FOR_KEY, shim.GetHistoryForKey(key=key)):
            found = _parsed(KeyModification, data)
            value_hash = None if found.is_delete else sha256(found.value).digest()
            yield Version(found.tx_id, time_us(found.timestamp), value_hash)

    async def _results(self, kind: int, question: Any) -> AsyncIterator[bytes]:
        """A peer sends results in pages. `close` closes what the contract did not read to its end."""
        page = await self._page(kind, question)
        while True:
            for result in page.results:
                yield result.resultBytes
            if not page.has_more:
                return
            page = await self._page(Kind.QUERY_STATE_NEXT, shim.QueryStateNext(id=page.id))

    async def _page(self, kind: int, question: Any) -> Any:
        answer = await self._exchange.ask(kind, question.SerializeToString())
        page = _parsed(shim.QueryResponse, answer)
        self._open.pop(page.id, None)
        if page.has_more:
            self._open[page.id] = None
        return page

    def set_event(self, name: str, payload: bytes) -> None:
        self.event = ChaincodeEvent(event_name=name, payload=payload)

    async def close(self) -> None:
        """Close the queries that are still open at the peer."""
        while self._open:
            opened, _ = self._open.popitem()
            await self._exchange.ask(Kind.QUERY_STATE_CLOSE, shim.QueryStateClose(id=opened).SerializeToString())


def _parsed(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as e:
        raise PeerError(f"the peer's answer is no {kind.DESCRIPTOR.name} that can be read") from e
