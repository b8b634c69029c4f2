"""Named queries: their definitions as JSON, and the queries that these are."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.enquiry.errors import EnquiryError, QueryFormError
from gateway.enquiry.query import Query, parsed
from gateway.enquiry.values import from_json
from gateway.epcis.context import prefixes_of
from gateway.epcis.errors import EpcisError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PORTIONS = ("perPage", "nextPageToken")


def query_of(definition: Mapping[str, Any], portion: Mapping[str, str] | None = None) -> Query:
    """The query of a definition, and which portion of its answer is wanted.

    Raises:
        QueryFormError: it is no definition.
        ParameterError: a parameter in it, or the portion.
    """
    wrong = [name for name in _PORTIONS if name in definition]
    if wrong:
        raise QueryFormError(f"{wrong[0]} belongs to the request for events, not into a named query")
    parameters = {name: value for name, value in definition.items() if name != "@context"}
    try:
        prefixes = prefixes_of(definition.get("@context"))
    except EpcisError as e:
        raise QueryFormError(f"@context: {e}") from e
    given = from_json(parameters) | {name: (value,) for name, value in (portion or {}).items()}
    return parsed(given, prefixes)


def require_definition(name: object, definition: object) -> Query:
    """Check what is to become a named query."""
    if type(name) is not str or not NAME.fullmatch(name):
        raise QueryFormError(f"name: expected 1 to 64 of A-Z a-z 0-9 _ . -, got {name!r:.80}")
    if type(definition) is not dict:
        raise QueryFormError("query: expected an object of query parameters")
    try:
        return query_of(definition)
    except QueryFormError:
        raise
    except EnquiryError as e:
        raise QueryFormError(str(e)) from e
