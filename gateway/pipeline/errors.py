"""Why the pipeline refuses input. Each refusal becomes a dead letter with this message."""

from crypto.errors import SealtrailError
from gateway.ingest.inbound import Verdict


class RefusedError(SealtrailError):
    """Input that will not be logged, what its sender is told, and the alert it raises, if any."""

    alert = ""

    def __init__(self, reason: str, verdict: Verdict = Verdict.REJECTED) -> None:
        super().__init__(reason)
        self.verdict = verdict


class ConflictError(RefusedError):
    """A number that is already in the log came again with other bytes: a cloned or broken device."""

    alert = "conflict"


class FaultError(RefusedError):
    """This program failed on one input, which is set aside so that nothing behind it waits."""

    alert = "fault"
