"""The parameters whose names carry a type, a unit or the name of an extension field (EPCIS 2.0 section 8.2.7.1)."""

import re
from collections.abc import Mapping, Sequence

from gateway.enquiry.clauses import Clause, Filter, marks
from gateway.enquiry.errors import ParameterError
from gateway.enquiry.fixed import Prefixes, fact, read_words, texts
from gateway.enquiry.patterns import uri
from gateway.enquiry.values import is_moment, is_number, moment, number, one, truth
from gateway.epcis.vocabulary import PARTY, TRANSACTION, Vocabulary

_SIGNS = {"EQ": "=", "GT": ">", "GE": ">=", "LT": "<", "LE": "<="}
_TYPED = re.compile(r"EQ_(bizTransaction|source|destination)_(.+)", re.DOTALL)
_VOCABULARIES: Mapping[str, tuple[str, Vocabulary]] = {
    "bizTransaction": ("transaction", TRANSACTION), "source": ("source", PARTY), "destination": ("destination", PARTY),
}  # fmt: skip
_MEASURED = re.compile(
    r"(EQ|GT|GE|LT|LE)_(quantity|value|minValue|maxValue|meanValue|sDev|percValue|percRank)(?:_([A-Z0-9]{2,3}))?"
)
_SCOPES = {
    "": "", "ILMD_": "ilmd", "ERROR_DECLARATION_": "error", "SENSORELEMENT_": "sensorElement",
    "SENSORMETADATA_": "sensorMetadata", "SENSORREPORT_": "sensorReport", "readPoint_": "readPoint",
    "bizLocation_": "bizLocation",
}  # fmt: skip
_FIELD = re.compile(rf"(EQ|GT|GE|LT|LE|EXISTS)_(INNER_)?({'|'.join(scope for scope in _SCOPES if scope)}|)(.+:.+)")
_ABSOLUTE = ("http", "https", "urn")


def flexible(name: str, values: Sequence[str], prefixes: Prefixes) -> Clause | None:
    """The condition, or None where the name is none of these."""
    if found := _TYPED.fullmatch(name):
        return _typed(name, *_VOCABULARIES[found[1]], found[2], values, prefixes)
    if found := _MEASURED.fullmatch(name):
        return _measured(name, found[1], found[2], found[3], values)
    if found := _FIELD.fullmatch(name):
        return _field(name, found[1], field_name(found[4], found[3], bool(found[2]), prefixes), values)
    return None


def field_name(written: str, scope: str, inner: bool, prefixes: Prefixes) -> str:
    """SCOPE:NAME of an extension field, as gateway.events.facts has it. ParameterError for an unknown prefix."""
    prefix, _, local = written.partition(":")
    if prefix in prefixes:
        full = prefixes[prefix] + local
    elif prefix in _ABSOLUTE:
        full = written
    else:
        raise ParameterError(
            f"prefix {prefix!r:.40} of {written!r:.80} is not known; declare it in the header GS1-Extensions:"
            f" {prefix:.40}=NAMESPACE, or in the query's @context"
        )
    return f"{'inner.' if inner else ''}{_SCOPES[scope]}:{full}"


def _typed(name: str, fact_name: str, vocabulary: Vocabulary, kind: str, values: Sequence[str],
           prefixes: Prefixes) -> Clause:  # fmt: skip
    (word,) = read_words(vocabulary, name, [kind], prefixes)
    return texts(f"{fact_name}:{word}", [uri(value, name) for value in values])


def _measured(name: str, sign: str, field: str, uom: str | None, values: Sequence[str]) -> Clause | None:
    if field == "percRank" and uom:
        return None
    of = field if field == "quantity" else f"sensor:{field}"
    return _compared(name, f"{of}:{uom}" if uom else of, sign, values)


def _compared(name: str, fact_name: str, sign: str, values: Sequence[str]) -> Clause:
    numbers = [number(name, value) for value in values]
    if sign == "EQ":
        return fact(fact_name, f"x.number IN ({marks(numbers)})", *numbers)
    return fact(fact_name, f"x.number {_SIGNS[sign]} ?", number(name, one(name, values)))


def _field(name: str, sign: str, field: str, values: Sequence[str]) -> Clause:
    """A field is compared as text and as a number with EQ; as a time or a number with the others."""
    if sign == "EXISTS":
        return fact(f"field:{field}", "TRUE") if truth(name, values) else Filter("TRUE")
    if sign == "EQ":
        numbers = [float(value) for value in values if is_number(value)]
        where = f"(x.value IN ({marks(values)}) OR x.number IN ({marks(numbers)}))"
        return fact(f"field:{field}", where, *values, *numbers)
    if is_moment(one(name, values)):
        return fact(f"time:{field}", f"x.number {_SIGNS[sign]} ?", moment(name, values))
    return _compared(name, f"field:{field}", sign, values)
