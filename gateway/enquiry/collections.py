"""What the events of the index are of: types, EPCs, steps, places, dispositions, a page at a time."""

from enum import StrEnum

from gateway.enquiry.clauses import Selection
from gateway.enquiry.errors import TooComplexError
from gateway.enquiry.fixed import TYPES, instance
from gateway.enquiry.query import parsed
from gateway.enquiry.tokens import Place, decode, encode
from gateway.epcis.context import GS1_PREFIXES
from gateway.events.schema import STATED
from gateway.events.view import EventsView
from gateway.query.errors import BusyError


class Collection(StrEnum):
    """The collections of EPCIS 2.0 section 12.6."""

    EVENT_TYPES = "eventTypes"
    EPCS = "epcs"
    BIZ_STEPS = "bizSteps"
    BIZ_LOCATIONS = "bizLocations"
    READ_POINTS = "readPoints"
    DISPOSITIONS = "dispositions"

    @property
    def parameter(self) -> str:
        """The query parameter that narrows events to one member."""
        return _PARAMETERS[self]


_PARAMETERS = {
    Collection.EVENT_TYPES: "eventType", Collection.EPCS: "MATCH_anyEPC", Collection.BIZ_STEPS: "EQ_bizStep",
    Collection.BIZ_LOCATIONS: "EQ_bizLocation", Collection.READ_POINTS: "EQ_readPoint",
    Collection.DISPOSITIONS: "EQ_disposition",
}  # fmt: skip
# What MATCH_anyEPC finds. It takes a pattern for what it stands for, so one that stands in an event is no member.
_EPCS = (
    "SELECT id, uri FROM thing t WHERE id > ? AND uri NOT GLOB 'urn:epc:idpat:*' AND EXISTS"
    f" (SELECT 1 FROM part x WHERE x.thing = t.id AND {instance(*STATED)}) ORDER BY id LIMIT ?"
)
# The next value of a column, by its index, whatever the number of events.
_STEPS = (
    "WITH RECURSIVE n(id) AS (SELECT MIN({0}) FROM event WHERE {0} > ? UNION ALL"
    " SELECT (SELECT MIN({0}) FROM event WHERE {0} > n.id) FROM n WHERE n.id IS NOT NULL)"
    " SELECT n.id, {2} FROM n JOIN {1} ON {1}.id = n.id LIMIT ?"
)
_QUERIES = {
    Collection.EPCS: _EPCS, Collection.BIZ_STEPS: _STEPS.format("step", "word", "text"),
    Collection.DISPOSITIONS: _STEPS.format("disposition", "word", "text"),
    Collection.READ_POINTS: _STEPS.format("read_point", "thing", "uri"),
    Collection.BIZ_LOCATIONS: _STEPS.format("location", "thing", "uri"),
}  # fmt: skip


def page_of(view: EventsView, collection: Collection, token: str | None, count: int) -> tuple[list[str], str | None]:
    """Members in the order in which the log first named them, and the token of the next page."""
    question = f"collection {collection}"
    place = decode(question, token) if token else Place(0, 0, 0, 0)
    if collection is Collection.EVENT_TYPES:
        rows = list(enumerate(TYPES, 1))[place.key : place.key + count + 1]
    else:
        with view.bounded():
            rows = view.events.connection.execute(_QUERIES[collection], (place.key, count + 1)).fetchall()
    following = encode(question, Place(0, rows[count - 1][0], 0, 0)) if len(rows) > count else None
    return [text for _, text in rows[:count]], following


def known(view: EventsView, collection: Collection, value: str) -> bool:
    """Whether any event is of this member; for a type, whether it is one. ParameterError for what cannot be one."""
    query = parsed({collection.parameter: (value,)}, GS1_PREFIXES)
    if collection is Collection.EVENT_TYPES:
        return True
    try:
        with view.bounded(), view.events.snapshot() as db:
            selection = Selection.of(db, query.clauses)
            return db.execute(f"SELECT 1 {selection.sql} LIMIT 1", selection.values).fetchone() is not None
    except BusyError as e:
        raise TooComplexError(str(e)) from e
