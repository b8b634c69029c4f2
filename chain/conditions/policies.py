"""Ready-made cold chain policies, by the names that users give. Any other is a `Policy` of one's own numbers.

Sources: labelled storage conditions and USP ⟨659⟩ and ⟨1079.2⟩ as commonly quoted (refrigerated, controlled cold, room
temperature); the alarm settings that WHO asks of loggers in international shipments of vaccines (type I and II). What
manufacturers state for their product goes before all of these.
"""

from typing import Final

from chain.conditions.errors import ConditionsError
from chaincode.coldchain.policy import Direction, Limit, MktLimit, Mode, Policy

HOUR_S = 3600
_HEAT = Limit(Direction.AT_LEAST, 45_000, Mode.SINGLE, HOUR_S - 1)  # alarm once the hour is full
_WARM = Limit(Direction.AT_LEAST, 30_000, Mode.CUMULATIVE, 10 * HOUR_S - 1)
_FREEZING = Limit(Direction.AT_MOST, -500, Mode.SINGLE, HOUR_S - 1)

READY_MADE: Final = {
    policy.name: policy
    for policy in (
        Policy("refrigerated", (Limit(Direction.BELOW, 2_000), Limit(Direction.ABOVE, 8_000))),
        Policy(
            "controlled-cold",
            (
                Limit(Direction.BELOW, 2_000),
                Limit(Direction.ABOVE, 8_000, Mode.SINGLE, 24 * HOUR_S),
                Limit(Direction.ABOVE, 15_000),
            ),
            MktLimit(8_000),
        ),
        Policy(
            "room-temperature",
            (
                Limit(Direction.BELOW, 15_000),
                Limit(Direction.ABOVE, 30_000, Mode.SINGLE, 24 * HOUR_S - 1),  # spikes of less than a day
                Limit(Direction.ABOVE, 40_000),
            ),
            MktLimit(25_000),
        ),
        Policy("frozen", (Limit(Direction.BELOW, -25_000), Limit(Direction.ABOVE, -15_000))),
        Policy("who-type-1", (_HEAT, _WARM, _FREEZING)),
        Policy(
            "who-type-2", (_HEAT, _WARM, Limit(Direction.AT_LEAST, 10_000, Mode.CUMULATIVE, 20 * HOUR_S - 1), _FREEZING)
        ),
    )
}


def named(name: str) -> Policy:
    """The ready-made policy of this name; ConditionsError lists them all."""
    try:
        return READY_MADE[name]
    except KeyError as e:
        raise ConditionsError(f"no policy {name[:40]!r} is ready-made; there are {', '.join(READY_MADE)}") from e
