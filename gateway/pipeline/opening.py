"""Opens many messages of plain readings at once, by the native core where it was built.

Trust boundary: untrusted bytes go in; what comes out has passed the same checks as in gateway.pipeline.admission
and gateway.preprocess. None means that this is for them to judge.
"""

from gateway.pipeline.sources import EnrolledSource
from gateway.preprocess.reading import Reading
from gateway.preprocess.units import names

try:
    from crypto import sealtrail_native as native
except ImportError:  # no Rust compiler was there
    native = None  # type: ignore[assignment]

MAX_OPENERS = 10_000


class Openers:
    """An opener for each source, made anew when the source changes."""

    def __init__(self, late_after_us: int) -> None:
        self._late_after_us = late_after_us
        self._units = native.UnitTable(_units()) if native else None
        self._openers: dict[str, tuple[EnrolledSource, native.Opener]] = {}

    def of(self, source: EnrolledSource) -> "native.Opener | None":
        """None where everything goes the slow way: no native core, or a source that reports no readings."""
        if self._units is None or source.plain or Reading.name not in source.kinds:
            return None
        known = self._openers.get(source.name)
        if known is None or known[0] is not source:
            if len(self._openers) >= MAX_OPENERS:
                self._openers.clear()
            limits = [(series, limit.low, limit.high, limit.unit) for series, limit in source.limits]
            opener = native.Opener(source.name, self._units, limits, self._late_after_us)
            known = self._openers[source.name] = source, opener
        return known[1]


def _units() -> list[tuple[str, str | None, float, float]]:
    return [(name, unit.base if unit.identity else None, unit.low, unit.high) for name, unit in names().items()]
