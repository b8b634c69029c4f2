"""Asks all witnesses of a policy at once and gathers cosignatures until its quorum is reached.

Fails closed: without the quorum there is nothing to publish. One slow or dead witness delays nobody: each has a
deadline, and once the quorum stands the stragglers get a short grace only.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chain.errors import PolicyError, WitnessError
from chain.log.witness import Cosignature, Submission, Witness
from chain.policy import Policy
from crypto.note import VerifierKey

if TYPE_CHECKING:
    import httpx

DEADLINE_S = 5.0
GRACE_S = 0.25


@dataclass(slots=True)
class Outcome:
    """What the witnesses answered: cosignatures, who is now at our size, and why the others are not."""

    cosignatures: list[Cosignature] = field(default_factory=list)
    cosigned: list[str] = field(default_factory=list)
    failures: dict[str, WitnessError] = field(default_factory=dict)

    def reason(self) -> str:
        return "; ".join(map(str, self.failures.values())) or "no witness answered"


class WitnessQuorum:
    """The witnesses of one policy. Use it on one event loop."""

    def __init__(self, policy: Policy, *, deadline_s: float = DEADLINE_S, grace_s: float = GRACE_S) -> None:
        """PolicyError when the witnesses that have a URL cannot make up the quorum."""
        self.policy = policy
        self._deadline_s, self._grace_s = deadline_s, grace_s
        self._http: httpx.AsyncClient | None = None
        keys: dict[str, list[VerifierKey]] = {}
        for line in policy.witnesses:
            if line.url:
                # One operator may answer with several keys at one address.
                keys.setdefault(line.url.rstrip("/"), []).append(line.key)
        self._witnesses = [Witness(url, its) for url, its in keys.items()]
        if not policy.satisfied_by(key for its in keys.values() for key in its):
            raise PolicyError("the witnesses with a URL cannot reach the quorum; add URLs to their witness lines")

    def reached(self, outcome: Outcome) -> bool:
        """Whether these cosignatures satisfy the policy."""
        return self.policy.satisfied_by(found.key for found in outcome.cosignatures)

    async def cosign(self, submission: Submission, sizes: Mapping[str, int]) -> Outcome:
        """Ask every witness; `sizes` are those each cosigned last, by URL (0 where unknown).

        Raises ForkError as soon as one contradicts our history.
        """
        outcome = Outcome()
        tasks = {asyncio.create_task(self._ask(w, submission, sizes.get(w.url, 0))): w for w in self._witnesses}
        waiting = set(tasks)
        try:
            while waiting and not self.reached(outcome):
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                _collect(outcome, tasks, done)
            if waiting:
                done, waiting = await asyncio.wait(waiting, timeout=self._grace_s)
                _collect(outcome, tasks, done)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return outcome

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _ask(self, witness: Witness, submission: Submission, old: int) -> list[Cosignature] | WitnessError:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await witness.cosign(self._client(), submission, old)
        except TimeoutError:
            return WitnessError(f"witness {witness.url} did not answer within {self._deadline_s} s")
        except WitnessError as e:
            return e

    def _client(self) -> "httpx.AsyncClient":
        import httpx

        if self._http is None:
            self._http = httpx.AsyncClient(timeout=self._deadline_s, follow_redirects=False)
        return self._http


_Answer = asyncio.Task[list[Cosignature] | WitnessError]


def _collect(outcome: Outcome, tasks: Mapping[_Answer, Witness], done: set[_Answer]) -> None:
    for task in done:
        answer, url = task.result(), tasks[task].url
        if isinstance(answer, WitnessError):
            outcome.failures[url] = answer
        else:
            outcome.cosignatures += answer
            outcome.cosigned.append(url)
