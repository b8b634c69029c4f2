"""Refusals under /epcis with the exception types of EPCIS 2.0 (section 12.4), as the `type` of problem details."""

from starlette.exceptions import HTTPException

PREFIX = "/epcis"
_BLANK = "about:blank"
_BY_STATUS = {
    400: "ValidationException", 401: "SecurityException", 403: "SecurityException", 404: "NoSuchNameException",
    405: "ImplementationException", 406: "NotAcceptableException", 409: "ResourceAlreadyExistsException",
    413: "CaptureLimitExceededException", 414: "URITooLongException", 415: "UnsupportedMediaTypeException",
    500: "ImplementationException", 501: "ImplementationException", 503: "ImplementationException",
}  # fmt: skip


class EpcisProblem(HTTPException):
    """A refusal whose exception type its status alone does not say."""

    def __init__(self, status: int, kind: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.kind = kind


def of_epcis(path: str) -> bool:
    """Whether this path is EPCIS's."""
    return path == PREFIX or path.startswith(PREFIX + "/")


def problem_type(path: str, method: str, status: int, error: Exception | None = None) -> tuple[str, int]:
    """The type of a problem, and its status: what the rest of the interface answers 422 is 400 here."""
    if not of_epcis(path):
        return _BLANK, status
    if isinstance(error, EpcisProblem):
        return f"epcisException:{error.kind}", status
    if status == 422:
        return f"epcisException:{'ValidationException' if method == 'POST' else 'QueryParameterException'}", 400
    return f"epcisException:{_BY_STATUS[status]}" if status in _BY_STATUS else _BLANK, status
