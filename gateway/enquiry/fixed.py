"""The parameters whose names are fixed (EPCIS 2.0 section 8.2.7.1), each with the condition that it makes."""

from collections.abc import Callable, Mapping, Sequence

from gateway.enquiry.clauses import Clause, Filter, Member, marks
from gateway.enquiry.errors import ParameterError
from gateway.enquiry.patterns import classes, things, uri
from gateway.enquiry.values import moment, one, truth
from gateway.epcis.errors import EpcisError
from gateway.epcis.vocabulary import BIZ_STEP, DISPOSITION, ERROR_REASON, MEASUREMENT, Vocabulary
from gateway.events.rows import hash_of_id
from gateway.events.schema import STATED, Action, Role, Type

Prefixes = Mapping[str, str]
Maker = Callable[[str, Sequence[str], Prefixes], Clause]
TYPES = {
    "ObjectEvent": Type.OBJECT, "AggregationEvent": Type.AGGREGATION, "TransactionEvent": Type.TRANSACTION,
    "TransformationEvent": Type.TRANSFORMATION, "AssociationEvent": Type.ASSOCIATION,
}  # fmt: skip
_OF_WORD = "SELECT id FROM word WHERE text"
_OWN_EPCS = (Role.EPC, Role.CHILD)
_INSTANCE = (
    f"x.role IN ({{}}) AND x.quantity IS NULL AND NOT EXISTS (SELECT 1 FROM fact f WHERE f.leaf = x.leaf AND f.name IN"
    f" ({_OF_WORD} IN ('class:epc', 'class:input', 'class:output'))"
    " AND f.value = (SELECT uri FROM thing WHERE id = x.thing))"
)


def fact(name: str, where: str, *values: object) -> Member:
    """Facts of one name: gateway.events.facts."""
    return Member("fact", f"x.name = ({_OF_WORD} = ?) AND {where}", (name, *values))


def texts(name: str, values: Sequence[object]) -> Member:
    return fact(name, f"x.value IN ({marks(values)})", *values)


def _event_type(name: str, values: Sequence[str], _: Prefixes) -> Clause:
    unknown = [value for value in values if value not in TYPES]
    if unknown:
        raise ParameterError(f"{name}: expected {', '.join(TYPES)}, got {unknown[0]!r:.60}")
    codes = [int(TYPES[value]) for value in values]
    return Filter(f"+e.type IN ({marks(codes)})", tuple(codes))


def _action(name: str, values: Sequence[str], _: Prefixes) -> Clause:
    wrong = [value for value in values if value not in ("ADD", "OBSERVE", "DELETE")]
    if wrong:
        raise ParameterError(f"{name}: expected ADD, OBSERVE or DELETE, got {wrong[0]!r:.40}")
    codes = [int(Action[value]) for value in values]
    return Filter(f"+e.action IN ({marks(codes)})", tuple(codes))


def _time(column: str, sign: str) -> Maker:
    return lambda name, values, _: Filter(f"e.{column} {sign} ?", (moment(name, values),))


def _word(column: str, vocabulary: Vocabulary) -> Maker:
    def make(name: str, values: Sequence[str], prefixes: Prefixes) -> Clause:
        words = read_words(vocabulary, name, values, prefixes)
        return Member("event", f"x.{column} IN ({_OF_WORD} IN ({marks(words)}))", words)

    return make


def _words(fact_name: str, vocabulary: Vocabulary) -> Maker:
    return lambda name, values, prefixes: texts(fact_name, read_words(vocabulary, name, values, prefixes))


def read_words(vocabulary: Vocabulary, name: str, values: Sequence[str], prefixes: Prefixes) -> tuple[str, ...]:
    """Of CBV as bare words, of others as URIs. ParameterError for a word that nobody knows."""
    try:
        return tuple(vocabulary.read(value, prefixes) for value in values)
    except EpcisError as e:
        raise ParameterError(f"{name}: {e}") from e


def _place(column: str, *, within: bool) -> Maker:
    """`within`: also the places inside. What is inside of what is known of GLNs alone: those with an extension are
    inside the one without."""

    def make(name: str, values: Sequence[str], _: Prefixes) -> Clause:
        uris = [uri(value, name) for value in values]
        query, given = f"SELECT id FROM thing WHERE uri IN ({marks(uris)})", list[object](uris)
        for found in uris if within else ():
            query += " UNION SELECT id FROM thing WHERE uri >= ? AND uri < ?"
            given += [f"{found}/254/", f"{found}/254/\U0010ffff"]
        return Member("event", f"x.{column} IN ({query})", tuple(given))

    return make


def instance(*roles: Role) -> str:
    """The condition that a row x of the table part is of an instance in one of these roles. A class is none, though
    it has the same role, whether the event lists it with a quantity or without."""
    return _INSTANCE.format(", ".join(str(int(role)) for role in roles))


def _epcs(*roles: Role) -> Maker:
    def make(name: str, values: Sequence[str], _: Prefixes) -> Clause:
        query, given = things(values, name)
        return Member("part", f"x.thing IN ({query}) AND {instance(*roles)}", given)

    return make


def _classes(*roles: str) -> Maker:
    def make(name: str, values: Sequence[str], _: Prefixes) -> Clause:
        condition, given = classes(values, name)
        names = [f"class:{role}" for role in roles]
        return Member("fact", f"x.name IN ({_OF_WORD} IN ({marks(names)})) AND ({condition})", (*names, *given))

    return make


def _transformation(name: str, values: Sequence[str], _: Prefixes) -> Clause:
    uris = [uri(value, name) for value in values]
    where = f"x.thing IN (SELECT id FROM thing WHERE uri IN ({marks(uris)})) AND x.role = {int(Role.TRANSFORMATION)}"
    return Member("part", where, tuple(uris))


def event_ids(name: str, values: Sequence[str]) -> Member:
    """By their eventIDs; one that is an event's hash finds it whether or not the event says its id."""
    for value in values:
        uri(value, name)
    hashes = [hashed for value in values if (hashed := hash_of_id(value))]
    by_name = f"SELECT leaf FROM named WHERE id IN ({marks(values)})"
    query = f"SELECT leaf FROM event WHERE hash IN ({marks(hashes)}) UNION {by_name}"
    return Member("event", f"x.leaf IN ({query})", (*hashes, *values))


def _exists(name: str, values: Sequence[str], _: Prefixes) -> Clause:
    return Filter("+e.declared = 1") if truth(name, values) else Filter("TRUE")


def _sensed(name: str, values: Sequence[str], _: Prefixes) -> Clause:
    return fact("sensor", "x.value = ''") if truth(name, values) else Filter("TRUE")


def _number_of(fact_name: str, sign: str) -> Maker:
    return lambda name, values, _: fact(fact_name, f"x.number {sign} ?", moment(name, values))


def _uris(fact_name: str) -> Maker:
    return lambda name, values, _: texts(fact_name, [uri(value, name) for value in values])


def _plain(fact_name: str) -> Maker:
    return lambda _, values, __: texts(fact_name, values)


def _boolean(name: str, values: Sequence[str], _: Prefixes) -> Clause:
    truth(name, values)
    return texts("sensor:booleanValue", [one(name, values)])


FIXED: Mapping[str, Maker] = {
    "eventType": _event_type,
    "GE_eventTime": _time("time_us", ">="), "LT_eventTime": _time("time_us", "<"),
    "GE_recordTime": _time("record_us", ">="), "LT_recordTime": _time("record_us", "<"),
    "EQ_action": _action, "EQ_bizStep": _word("step", BIZ_STEP), "EQ_disposition": _word("disposition", DISPOSITION),
    "EQ_persistentDisposition_set": _words("set", DISPOSITION),
    "EQ_persistentDisposition_unset": _words("unset", DISPOSITION),
    "EQ_readPoint": _place("read_point", within=False), "WD_readPoint": _place("read_point", within=True),
    "EQ_bizLocation": _place("location", within=False), "WD_bizLocation": _place("location", within=True),
    "EQ_transformationID": _transformation,
    "MATCH_epc": _epcs(*_OWN_EPCS), "MATCH_parentID": _epcs(Role.PARENT), "MATCH_inputEPC": _epcs(Role.INPUT),
    "MATCH_outputEPC": _epcs(Role.OUTPUT), "MATCH_anyEPC": _epcs(*STATED),
    "MATCH_epcClass": _classes("epc"), "MATCH_inputEPCClass": _classes("input"),
    "MATCH_outputEPCClass": _classes("output"), "MATCH_anyEPCClass": _classes("epc", "input", "output"),
    "EQ_eventID": lambda name, values, _: event_ids(name, values),
    "EXISTS_errorDeclaration": _exists,
    "GE_errorDeclarationTime": _number_of("error:time", ">="), "LT_errorDeclarationTime": _number_of("error:time", "<"),
    "GE_errorDeclaration_Time": _number_of("error:time", ">="),
    "LT_errorDeclaration_Time": _number_of("error:time", "<"),
    "EQ_errorReason": _words("error:reason", ERROR_REASON), "EQ_correctiveEventID": _plain("error:corrective"),
    "EXISTS_sensorElementList": _sensed,
    "GE_time": _number_of("sensor:time", ">="), "LT_time": _number_of("sensor:time", "<"),
    "GE_startTime": _number_of("sensor:startTime", ">="), "LT_startTime": _number_of("sensor:startTime", "<"),
    "GE_endTime": _number_of("sensor:endTime", ">="), "LT_endTime": _number_of("sensor:endTime", "<"),
    "EQ_type": _words("sensor:type", MEASUREMENT),
    "EQ_deviceID": _uris("sensor:deviceID"), "EQ_dataProcessingMethod": _uris("sensor:dataProcessingMethod"),
    "EQ_microorganism": _uris("sensor:microorganism"), "EQ_chemicalSubstance": _uris("sensor:chemicalSubstance"),
    "EQ_bizRules": _uris("sensor:bizRules"), "EQ_uriValue": _uris("sensor:uriValue"),
    "EQ_stringValue": _plain("sensor:stringValue"), "EQ_hexBinaryValue": _plain("sensor:hexBinaryValue"),
    "EQ_booleanValue": _boolean,
}  # fmt: skip
