"""A whole gateway in this process, driven from ordinary test code: real doors, committer, ledger and anchors.

Messages are handed to the pipeline as the front door does it. Receipts to sources are also kept for the test.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from chain.acknowledgement import Acknowledgement, open_acknowledgement
from chain.ledger.reading import open_reader
from chain.policies import site_policy
from chain.policy import Policy
from chain.receipts import ReceiptBuilder
from chain.record import Record
from chain.site import Folder, SiteReader, SiteWriter
from chain.store.notices import Alert, DeadLetter
from chaincode.identities import enrolment, rotation
from crypto import labels
from crypto.keys import Algorithm, PrivateKey
from gateway.access import SeriesLimits, SourceSettings
from gateway.config import Config
from gateway.ingest.inbound import Channel, Inbound, Verdict
from gateway.service import Gateway
from tests.support.source import START_US, Source

ORIGIN = "plant-7.example/line-3"
COLD = SourceSettings(limits=(SeriesLimits("", "Cel", 2.0, 8.0),))
DEADLINE_S = 20.0
T = TypeVar("T")


class _ListeningGateway(Gateway):
    """Keeps what it says to sources, beside saying it."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.said: list[tuple[str, bytes]] = []

    def _start_pipeline(self, site: SiteWriter, key: PrivateKey) -> None:
        super()._start_pipeline(site, key)
        publish = self.acknowledger._publish

        async def keeping(source: str, payload: bytes, session: bool) -> bool:
            self.said.append((source, payload))
            return await publish(source, payload, session)

        self.acknowledger._publish = keeping


class Site:
    """Use as a context manager; everything is stopped in order at its end."""

    def __init__(self, root: Path, **settings: Any) -> None:
        base: dict[str, Any] = {
            "origin": ORIGIN, "data": root, "front_door": {"port": 0}, "api": {"port": 0},
            "log": {"checkpoint_interval_s": 3600, "anchor_interval_s": 3600},  # anchors only when told, or urgent
        }  # fmt: skip
        self.config = Config.model_validate(base | settings)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        try:
            self.gateway = self.run(self._begin())
        except BaseException:
            self._runner.close()
            raise
        return self

    async def _begin(self) -> _ListeningGateway:
        gateway = _ListeningGateway(self.config)
        await gateway.__aenter__()
        return gateway

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        self.run(self.gateway.__aexit__())
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    @property
    def folder(self) -> Folder:
        return self.gateway.folder

    def without_native_core(self) -> None:
        """Every event goes the way of Python from now on."""
        self.gateway.committer._openers._units = None

    # -- sources

    def enrol(
        self, name: str, settings: SourceSettings = COLD, algorithm: Algorithm = Algorithm.ED25519,
        key: PrivateKey | None = None,
    ) -> Source:  # fmt: skip
        """Invite and enrol a source as a device does it, with proof of possession."""
        source = Source(name, key or PrivateKey.generate(algorithm))
        public = source.key.public
        proof = source.key.sign(enrolment(name, self.folder.origin, public), labels.ENROL)
        code = self.gateway.invite(name, settings)
        self.run(self.gateway.enrol(code, str(public.algorithm), public.raw, proof))
        return source

    def plain(self, name: str) -> str:
        return self.run(self.gateway.add_plain(name, SourceSettings(allow_plain=True)))

    def rotate(self, source: Source, new: PrivateKey, from_index: int) -> None:
        said = rotation(source.name, source.key.public, new.public, from_index)
        old_signs, new_signs = source.key.sign(said, labels.KEY_ROTATION), new.sign(said, labels.KEY_ROTATION)
        public = new.public
        work = self.gateway.rotate(source.name, str(public.algorithm), public.raw, from_index, old_signs, new_signs)
        self.run(work)

    # -- what they send

    def send(self, source: Source | str, payload: bytes, **options: Any) -> Verdict:
        """One message through the pipeline, waited for. See `inbound` for the options."""
        return self.send_all([self.inbound(source, payload, **options)])[0]

    def inbound(
        self, source: Source | str, payload: bytes, *, plain: str = "", authenticated: bool = True,
        received_us: int = START_US,
    ) -> Inbound:  # fmt: skip
        name = source.name if isinstance(source, Source) else source
        channel = Channel.PLAIN if plain else Channel.EVENTS
        size = len(payload)
        return Inbound(name, authenticated, channel, plain, [payload], size, received_us, "front", _nobody_asks)

    def send_all(self, messages: Sequence[Inbound]) -> list[Verdict]:
        """Hand all over at once, so that they may share a commit, and wait for every verdict."""
        return self.run(self._send_all(messages))

    async def _send_all(self, messages: Sequence[Inbound]) -> list[Verdict]:
        answers = [asyncio.get_running_loop().create_future() for _ in messages]
        for message, answer in zip(messages, answers, strict=True):
            self.gateway.committer.inbox.submit(_answering(message, answer))
        async with asyncio.timeout(DEADLINE_S):
            return list(await asyncio.gather(*answers))

    def drain(self) -> None:
        """Everything so far is durable and anchored, and sources were told."""
        self.run(self._drain())

    async def _drain(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.gateway.drain()
            await self.until(lambda: self.gateway.acknowledger.idle)

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not true():
                await asyncio.sleep(0.01)

    def wait(self, true: Any) -> None:
        self.run(self.until(true))

    # -- what came of it

    @contextmanager
    def reader(self) -> Iterator[SiteReader]:
        with closing(SiteReader.open(self.folder)) as reader:
            yield reader

    def records(self) -> list[Record]:
        with self.reader() as reader:
            return [Record.decode(entry) for entry in reader.entries.entries(0, reader.entries.size())]

    def dead_letters(self) -> list[DeadLetter]:
        """Oldest first."""
        with self.reader() as reader:
            return reader.notices.dead_letters(limit=20_000)[::-1]

    def alerts(self, kind: str = "") -> list[Alert]:
        """Oldest first."""
        with self.reader() as reader:
            return [a for a in reader.notices.alerts(limit=20_000)[::-1] if a.kind == kind or not kind]

    def acknowledgements(self, source: str) -> list[Acknowledgement]:
        key = self.folder.gateway_key().public
        return [open_acknowledgement(said, key) for name, said in self.gateway.said if name == source]

    @property
    def policy(self) -> Policy:
        return site_policy(self.folder)


@contextmanager
def receipts(folder: Folder) -> Iterator[ReceiptBuilder]:
    """Receipts from a site's folder, whether or not its gateway runs."""
    with closing(SiteReader.open(folder)) as reader, closing(open_reader(folder)) as ledger:
        yield ReceiptBuilder(reader, ledger)


def _answering(message: Inbound, answer: asyncio.Future[Verdict]) -> Inbound:
    return replace(message, done=lambda verdicts: answer.set_result(*verdicts))


def _nobody_asks(verdict: list[Verdict]) -> None:
    """A message that was never submitted."""
    raise AssertionError(f"told {verdict} without having been submitted")
