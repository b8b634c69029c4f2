"""Errors of queries. `kind` is the exception of EPCIS 2.0 (section 8.2.6) that says so to clients."""

from typing import ClassVar

from crypto.errors import SealtrailError


class EnquiryError(SealtrailError):
    """A query or subscription cannot be carried out."""

    kind: ClassVar[str] = "ImplementationException"


class ParameterError(EnquiryError):
    """A parameter is unknown, malformed, or contradicts another one."""

    kind = "QueryParameterException"


class TooLargeResultError(EnquiryError):
    """More events match than the client or the gateway wants to give."""

    kind = "QueryTooLargeException"


class TooComplexError(EnquiryError):
    """The query takes too long."""

    kind = "QueryTooComplexException"


class NoSuchNameError(EnquiryError):
    """There is no query, subscription or value of this name."""

    kind = "NoSuchNameException"


class DuplicateNameError(EnquiryError):
    """A query of this name exists, and another one at that."""

    kind = "ResourceAlreadyExistsException"


class QueryFormError(EnquiryError):
    """A named query's definition is not one."""

    kind = "QueryValidationException"


class ScheduleError(EnquiryError):
    """When a subscription reports is missing, contradictory or malformed."""

    kind = "SubscriptionControlsException"


class DestinationError(EnquiryError):
    """Nothing may be sent to where a subscription reports."""

    kind = "SubscribeNotPermittedException"
