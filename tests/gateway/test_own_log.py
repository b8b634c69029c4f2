"""The gateway's own records: whoever asked for one may be gone before it is stored."""

import asyncio
from pathlib import Path

from msgspec.structs import replace

from gateway.own_log import OwnLog
from tests.support.site import Site
from tests.support.source import message


def test_who_was_cancelled_takes_the_news_of_a_commit_from_nobody(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        source = site.enrol("logger")
        log: OwnLog = site.gateway.supply.cold._log
        note = b'{"act":"watch","shipment":"' + b"ab" * 32 + b'"}'
        site.run(log.append(note))

        async def run() -> None:
            inbox, faults = site.gateway.committer.inbox, list[object]()
            asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
            sent = message([source.event([{"n": "t", "u": "Cel", "v": 5.0}])], source.seal())
            told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            asking = asyncio.create_task(log.append(note))
            while not inbox.size:
                await asyncio.sleep(0)
            asking.cancel()
            inbox.submit(replace(site.inbound(source, sent), done=told.set_result))
            async with asyncio.timeout(20):
                await told
            assert faults == []  # a fault while news are told keeps them from all who come behind
            asyncio.get_running_loop().set_exception_handler(None)

        site.run(run())
        assert sum(record.kind == 8 for record in site.records()) == 2  # it is stored all the same
