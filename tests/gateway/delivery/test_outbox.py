"""The outbox against real HTTP servers: down for long, killed midway, slow, dead beside others, refusing, full."""

import asyncio
import socket
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.delivery import signing
from gateway.delivery.addresses import AddressRule
from gateway.delivery.errors import AddressError, DeliveryError, OutboxFullError
from gateway.delivery.http import HttpCarrier
from gateway.delivery.outbox import Outbox
from gateway.delivery.serving import Patience
from gateway.delivery.target import Bounds, Target
from tests.gateway.delivery.receiver import Receiver, receiving
from tests.support.certificates import Authority
from tests.support.killing import steps_killed

# A day of the real clock's 300 s between two tries: 288 pauses of the longest kind.
QUICK = Patience(first_s=0.005, longest_s=0.02, try_s=1.0, refused_s=0.05)
OPEN = AddressRule.of(True, ["127.0.0.0/8"])
SECRET = signing.new_secret()


@asynccontextmanager
async def outbox(
    folder: Path, patience: Patience = QUICK, rule: AddressRule = OPEN, **more: object
) -> AsyncIterator[Outbox]:
    carrier = HttpCarrier(rule, timeout_s=0.5)
    async with Outbox(folder / "outbox.db", {"http": carrier, "https": carrier}, patience=patience, **more) as made:  # type: ignore[arg-type]
        yield made


async def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not within its time"
        await asyncio.sleep(0.005)


def target(receiver: Receiver, name: str = "night-shift", **more: object) -> Target:
    return Target(name, receiver.url, SECRET, **more)  # type: ignore[arg-type]


def test_what_is_added_arrives_once_in_order_and_signed(tmp_path: Path) -> None:
    async def run(receiver: Receiver) -> None:
        async with outbox(tmp_path) as made:
            for n in range(20):
                await made.add(target(receiver, headers={"authorization": "Bearer x"}), b"%d" % n, {"x-what": "alarm"})
            await until(lambda: len(receiver.taken) == 20)
            await until(lambda: not made._servings["night-shift"]._task)
            (state,) = await made.states()
            assert (state.waiting, state.nbytes, state.delivered, state.problem) == (0, 0, 20, "")
        assert receiver.bodies == [b"%d" % n for n in range(20)]
        ids = {signing.verify([SECRET], request.headers, request.body) for request in receiver.taken}
        assert len(ids) == 20
        first = receiver.taken[0].headers
        assert (first["x-what"], first["authorization"], first["content-type"]) == (
            "alarm", "Bearer x", "application/json",
        )  # fmt: skip

    with receiving() as receiver:
        asyncio.run(run(receiver))
    assert stat.S_IMODE((tmp_path / "outbox.db").stat().st_mode) == 0o600


def test_a_receiver_that_is_down_for_a_day_loses_nothing(tmp_path: Path) -> None:
    """A day at 300 s are 288 tries. The gateway is also restarted meanwhile, and killed without its good-bye."""

    async def before(receiver: Receiver) -> None:
        async with outbox(tmp_path, Patience(first_s=0.001, longest_s=0.002)) as made:
            serving = None
            for n in range(100):
                await made.add(target(receiver), b"%d" % n)
                serving = made._servings["night-shift"]
            await until(lambda: (serving and serving._backoff._failures) > 288)
            (state,) = await made.states()
            assert (state.waiting, state.delivered, bool(state.failing_since_us)) == (100, 0, True)
            assert "cannot be reached" in state.problem

    async def after(receiver: Receiver) -> None:
        async with outbox(tmp_path) as made:
            await asyncio.sleep(0.05)
            await made.add(target(receiver), b"100")
            receiver.up()
            await until(lambda: len(receiver.taken) == 101)
            await until(lambda: not made._servings["night-shift"]._task)
            (state,) = await made.states()
            assert (state.waiting, state.put_out, state.failing_since_us, state.problem) == (0, 0, 0, "")

    with receiving() as receiver:
        receiver.down()
        asyncio.run(before(receiver))
        asyncio.run(after(receiver))
        assert receiver.bodies == [b"%d" % n for n in range(101)]


def test_a_new_try_has_the_same_id_and_a_new_time(tmp_path: Path) -> None:
    async def run(receiver: Receiver) -> None:
        answers = iter([500, 302, 204])
        receiver.answer = lambda request: (next(answers), {"location": receiver.url + "/elsewhere", "retry-after": "0"})
        async with outbox(tmp_path) as made:
            await made.add(target(receiver), b"alarm", message="alarm-7")
            await until(lambda: receiver.taken)
        assert {r.headers["webhook-id"] for r in receiver.came} == {"alarm-7"}
        assert [r.path for r in receiver.came] == ["/hook"] * 3  # a redirect is not followed
        for request in receiver.came:
            signing.verify([SECRET], request.headers, request.body)

    with receiving() as receiver:
        asyncio.run(run(receiver))


def test_the_same_message_does_not_wait_twice(tmp_path: Path) -> None:
    async def run(receiver: Receiver) -> None:
        receiver.down()
        async with outbox(tmp_path) as made:
            first = await made.add(target(receiver), b"a", message="m")
            assert await made.add(target(receiver), b"a", message="m") == first
            assert await made.add(target(receiver, "other"), b"a", message="m") != first
            assert [state.waiting for state in await made.states()] == [1, 1]

    with receiving() as receiver:
        asyncio.run(run(receiver))


def test_dead_targets_delay_no_other(tmp_path: Path) -> None:
    """More of them than there are threads for them; they take the connection and answer nothing."""

    async def run(receiver: Receiver, port: int) -> None:
        async with outbox(tmp_path, Patience(0.005, 0.02, try_s=1.5)) as made:
            for n in range(44):
                await made.add(Target(f"dead-{n}", f"http://127.0.0.1:{port}/"), b"x")
            await until(lambda: sum(bool(s.failing_since_us) for s in made._servings.values()) > 40)
            took = []
            for n in range(5):
                begun = time.monotonic()
                await made.add(target(receiver), b"%d" % n)
                await until(lambda n=n: len(receiver.taken) > n)
                took.append(time.monotonic() - begun)
            assert sorted(took)[2] < 1.5, took  # below one time-out of a dead one

    with receiving() as receiver, socket.create_server(("127.0.0.1", 0), backlog=200) as dead:
        asyncio.run(run(receiver, dead.getsockname()[1]))


def test_a_receiver_that_drips_its_answer_is_cut_off(tmp_path: Path) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        try:
            while True:
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with outbox(tmp_path, Patience(0.01, 10, try_s=0.3)) as made:
            await made.add(Target("slow", f"http://127.0.0.1:{port}/"), b"x")
            await until(lambda: made._servings["slow"].failing_since_us, 20.0)
        await asyncio.sleep(0.1)
        server.close()

    asyncio.run(run())


def test_what_is_refused_itself_gives_way_in_the_end_and_what_is_not_stays(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []

    async def say(name: str, text: str) -> None:
        said.append((name, text))

    async def run(receiver: Receiver) -> None:
        receiver.answer = lambda request: (422 if request.body == b"bad" else 204, {})
        async with outbox(tmp_path, alert=say) as made:
            await made.add(target(receiver), b"bad", message="bad-1")
            await made.add(target(receiver), b"good")
            await until(lambda: receiver.bodies == [b"good"])
            (lost,) = await made.lost()
            assert (lost.target, lost.message, lost.size) == ("night-shift", "bad-1", 3)
            assert lost.tries >= 9
            assert "422" in lost.reason
            receiver.answer = lambda request: (503 if request.body == b"later" else 204, {})
            await made.add(target(receiver), b"later")
            await until(lambda: receiver.came[-1].body == b"later")
            count = len(receiver.came)
            await until(lambda: len(receiver.came) > count + 12)
            assert len(await made.lost()) == 1

    with receiving() as receiver:
        asyncio.run(run(receiver))
    assert len(said) == 1
    assert said[0][0] == "night-shift"


def test_at_its_bound_the_oldest_goes_and_that_is_loud(tmp_path: Path) -> None:
    said: list[str] = []

    async def say(name: str, text: str) -> None:
        said.append(text)

    async def run(receiver: Receiver) -> None:
        receiver.down()
        bounded = target(receiver, bounds=Bounds(rows=3))
        async with outbox(tmp_path, alert=say) as made:
            for n in range(6):
                await made.add(bounded, b"%d" % n)
            await until(lambda: made._servings["night-shift"].failing_since_us)
            (state,) = await made.states()
            assert (state.waiting, state.put_out) == (3, 3)
            assert [lost.size for lost in await made.lost()] == [1, 1, 1]
            assert any("night-shift" in problem for problem in made.problems())
            receiver.up()
            await until(lambda: receiver.bodies == [b"3", b"4", b"5"])
            await until(lambda: not list(made.problems()))

    with receiving() as receiver:
        asyncio.run(run(receiver))
    assert len(said) == 1  # once until it works again


def test_a_target_that_refuses_keeps_what_it_has(tmp_path: Path) -> None:
    async def run(receiver: Receiver) -> None:
        receiver.down()
        bounded = target(receiver, bounds=Bounds(nbytes=1000, refuse=True))
        async with outbox(tmp_path) as made:
            await made.add(bounded, b"a" * 500)
            for size in (500, 2000):
                with pytest.raises(OutboxFullError):
                    await made.add(bounded, b"b" * size)
            receiver.up()
            await until(lambda: receiver.bodies == [b"a" * 500])

    with receiving() as receiver:
        asyncio.run(run(receiver))


def test_who_has_most_waiting_makes_room_for_the_others(tmp_path: Path) -> None:
    async def run(receiver: Receiver) -> None:
        receiver.down()
        async with outbox(tmp_path, most_bytes=3000) as made:
            for _ in range(3):
                await made.add(target(receiver, "fat"), b"f" * 600)
            await made.add(target(receiver, "thin"), b"t" * 500)
            fat, thin = await made.states()
            assert (fat.waiting, fat.put_out, thin.waiting) == (2, 1, 1)
            await made.add(target(receiver, "holds", bounds=Bounds(refuse=True)), b"h" * 500)
            with pytest.raises(OutboxFullError):
                await made.add(target(receiver, "large"), b"h" * 2900)

    with receiving() as receiver:
        asyncio.run(run(receiver))


def test_after_its_age_a_delivery_that_still_fails_goes(tmp_path: Path) -> None:
    async def run(receiver: Receiver) -> None:
        receiver.down()
        async with outbox(tmp_path) as made:
            await made.add(target(receiver, bounds=Bounds(age_s=0.05)), b"old")
            await until(lambda: made._servings["night-shift"].lost)
            (lost,) = await made.lost()
            assert "days" in lost.reason
            receiver.up()
            await made.add(target(receiver, bounds=Bounds(age_s=0.0)), b"young")  # a try comes before its end
            await until(lambda: receiver.bodies == [b"young"])

    with receiving() as receiver:
        asyncio.run(run(receiver))


def test_what_others_name_must_be_where_they_may_send(tmp_path: Path) -> None:
    async def run(receiver: Receiver) -> None:
        async with outbox(tmp_path, rule=AddressRule()) as made:
            for url in (receiver.url, f"https://127.0.0.1:{receiver.port}/", "gopher://x.example/"):
                with pytest.raises(AddressError):
                    await made.add(Target("theirs", url), b"x")
            await made.add(Target("theirs", f"https://localhost:{receiver.port}/"), b"x")  # known when it is looked up
            await until(lambda: made._servings["theirs"].problem)
            assert "not public" in made._servings["theirs"].problem
            await made.add(target(receiver, configured=True), b"x")
            await until(lambda: receiver.bodies == [b"x"])

    with receiving() as receiver:
        asyncio.run(run(receiver))


def test_nothing_is_smuggled_into_a_request(tmp_path: Path) -> None:
    async def run(receiver: Receiver) -> None:
        async with outbox(tmp_path) as made:
            for headers in ({"x": "a\r\ny: b"}, {"x y": "a"}, {"x": ""}, {str(n): "x" for n in range(20)}):
                with pytest.raises(DeliveryError):
                    await made.add(target(receiver), b"x", headers)
            with pytest.raises(DeliveryError):
                await made.add(target(receiver), b"x", message="a\nb")
            with pytest.raises(DeliveryError):
                await made.add(target(receiver), bytes(8 * 2**20 + 1))
            with pytest.raises(DeliveryError):
                Target("../x y", receiver.url)

    with receiving() as receiver:
        asyncio.run(run(receiver))


_KILLED = """
import asyncio, sys
from pathlib import Path
from gateway.delivery.outbox import Outbox
from tests.gateway.delivery.test_outbox import QUICK, OPEN
from gateway.delivery.http import HttpCarrier
from gateway.delivery.target import Target
from tests.support.certificates import Authority
from tests.support.killing import Steps, kill_in_copies

def work(root, steps):
    async def run():
        async with Outbox(root / "outbox.db", {"http": HttpCarrier(OPEN)}, patience=QUICK) as made:
            made._disk.store._db.connection.set_trace_callback(lambda statement: steps())
            for n in range(3):
                await made.add(Target("t", f"{sys.argv[2]}/{root.name}"), b"%d" % n, message=f"m{n}")
                with (root / "told").open("a") as told:
                    told.write(f"{n}\\n")
            while any(serving._task for serving in made._servings.values()):
                await asyncio.sleep(0.01)
    asyncio.run(run())

kill_in_copies(Path(sys.argv[1]), work, 3, 6)
"""


def test_what_was_added_survives_kill_9_at_any_step(tmp_path: Path) -> None:
    """Everything that `add` returned for arrives, before the kill or after the next start, in order."""

    async def again(root: Path, receiver: Receiver) -> None:
        async with outbox(root) as made:
            await until(lambda: not any(serving._task for serving in made._servings.values()))

    root = tmp_path / "original"
    root.mkdir()
    with receiving() as receiver:
        last = steps_killed(_KILLED, root, receiver.url, timeout=60)
        copies = [tmp_path / f"at-{at}" for at in range(3, last, 6)]
        assert len(copies) > 3
        for copy in copies:
            asyncio.run(again(copy, receiver))
        unfinished = 0
        for copy in copies:
            told = (copy / "told").read_text().split() if (copy / "told").exists() else []
            unfinished += len(told) < 3
            came = [request.body.decode() for request in receiver.taken if request.path.endswith(copy.name)]
            first = list(dict.fromkeys(came))
            assert first == sorted(first)
            assert set(told) <= set(came)
        assert unfinished


def test_a_receiver_with_tls_is_believed_under_its_own_authority_alone(tmp_path: Path) -> None:
    async def run(receiver: Receiver, ca: Path) -> None:
        url = receiver.url.replace("http:", "https:")
        async with outbox(tmp_path) as made:
            await made.add(Target("stranger", url, configured=True), b"x")
            await until(lambda: made._servings["stranger"].problem)
            await made.add(Target("known", url, configured=True, tls_ca=str(ca)), b"y")
            await until(lambda: receiver.bodies == [b"y"])

    authority = Authority(tmp_path)
    with receiving(authority.issue("server")) as receiver:
        asyncio.run(run(receiver, authority.file))
