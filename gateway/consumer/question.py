"""The path of a request as a question about a pack.

Trust boundary: takes the untrusted path and query of a request. A question that comes out has a GTIN with a right check
digit, and lot and serial of GS1's character set 82, at most 20 characters each.
"""

from typing import Final

from gateway.consumer.errors import NoPackError
from gateway.consumer.facts import PackQuestion
from gateway.epcis.digital_link import link, parse
from gateway.epcis.errors import EpcisError
from gateway.epcis.identifiers import ROOT, Gs1Key
from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.gs1 import expiry_date

MAX_PATH: Final = 256
KNOWN: Final = frozenset({"10", "21"})


def question_of(raw_path: bytes, expiry: str | None, year: int) -> PackQuestion:
    """raw_path: still percent-encoded, without the query. `expiry`: the value of AI (17) in the query. `year` is the
    current one, for the century. Raises NoPackError."""
    if len(raw_path) > MAX_PATH:
        raise NoPackError(f"expected a GS1 Digital Link path of at most {MAX_PATH} bytes")
    try:
        key = parse(ROOT + raw_path.decode("ascii"))
        day = None if expiry is None else expiry_date(expiry, year)
    except (EpcisError, PayloadRejected, UnicodeDecodeError) as e:
        raise NoPackError(f"expected /01/GTIN/10/LOT/21/SERIAL: {e!s:.200}") from e
    if key.ai != "01" or key.gtin is None or not {ai for ai, _ in key.qualifiers} <= KNOWN:
        raise NoPackError("expected a product, its lot and its serial, and nothing else")
    if key.lot is None and key.serial is None:
        raise NoPackError("expected a lot or a serial behind the product's number")
    return PackQuestion(key.gtin, key.lot, key.serial, day)


def path_of(question: PackQuestion) -> str:
    """The path that asks the question, escaped; without the query."""
    given = (("10", question.lot), ("21", question.serial))
    key = Gs1Key("01", question.gtin, tuple((ai, value) for ai, value in given if value is not None))
    return link(key, "")
