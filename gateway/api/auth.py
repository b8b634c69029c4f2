"""Who calls and what they may do: bearer tokens with scopes, checked on every route that is not public.

A token comes in the Authorization header. The pages keep it in a cookie, which counts for reading only, so that no
other site can make a browser change anything here.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from gateway.access import AccessError, Scope
from gateway.api.guards import presented_token
from gateway.api.services import Here

READ = frozenset({Scope.AUDITOR, Scope.OPERATOR, Scope.DEVICE_ADMIN})
PAYLOADS = frozenset({Scope.AUDITOR, Scope.OPERATOR})
OPERATE = frozenset({Scope.OPERATOR})
EXCHANGE = frozenset({Scope.EXCHANGE})
PARTAKE = frozenset({Scope.EXCHANGE, Scope.PARTNER})
MANAGE = frozenset({Scope.DEVICE_ADMIN})
CAPTURE = frozenset({Scope.CAPTURE})
ERASE = frozenset({Scope.DATA_PROTECTION})
MAX_TOKEN_CHARS = 256
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="sealtrail"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever presented a token; without one, nobody, who may see what is public."""

    label: str = ""
    scopes: frozenset[Scope] = frozenset()

    @property
    def reads(self) -> bool:
        return bool(self.scopes & READ)

    @property
    def sees_payloads(self) -> bool:
        return bool(self.scopes & PAYLOADS)

    @property
    def exchanges(self) -> bool:
        """Whether it acts for the gateway's owner; a partner acts for itself alone, by its label."""
        return Scope.EXCHANGE in self.scopes

    @property
    def operates(self) -> bool:
        return bool(self.scopes & OPERATE)


def caller(request: Request, here: Here) -> Caller:
    """The caller of this request. 401 for a token that is not known, on public routes too."""
    token = presented_token(request.headers, here.cookie if request.method == "GET" else None)
    if token is None:
        return Caller()
    try:
        if not 0 < len(token) <= MAX_TOKEN_CHARS or not token.isascii():
            raise AccessError("the Authorization header must be: Bearer <token>")
        found = here.access.token(token)
    except AccessError as e:
        raise HTTPException(401, str(e), _CHALLENGE) from e
    return Caller(found.label, found.scopes)


WhoeverCalls = Annotated[Caller, Depends(caller)]


class Requires:
    """A dependency that lets callers pass who have one of these scopes."""

    def __init__(self, scopes: frozenset[Scope]) -> None:
        self.scopes = scopes

    def __call__(self, who: WhoeverCalls) -> Caller:
        names = " or ".join(sorted(self.scopes))
        if not who.scopes:
            raise HTTPException(401, f"send Authorization: Bearer <token> with scope {names}", _CHALLENGE)
        if not who.scopes & self.scopes:
            raise HTTPException(403, f"this needs a token of scope {names}; yours has {' '.join(sorted(who.scopes))}")
        return who


partner_only = Requires(frozenset({Scope.PARTNER}))
reader = Requires(READ)
payload_reader = Requires(PAYLOADS)
operator = Requires(OPERATE)
device_admin = Requires(MANAGE)
exchanger = Requires(EXCHANGE)
partaker = Requires(PARTAKE)
capturer = Requires(CAPTURE)
job_reader = Requires(PAYLOADS | CAPTURE)
key_reader = Requires(READ | PARTAKE)
data_protection = Requires(ERASE)
Reader = Annotated[Caller, Depends(reader)]
PayloadReader = Annotated[Caller, Depends(payload_reader)]
Operator = Annotated[Caller, Depends(operator)]
DeviceAdmin = Annotated[Caller, Depends(device_admin)]
Exchanger = Annotated[Caller, Depends(exchanger)]
PartnerOnly = Annotated[Caller, Depends(partner_only)]
Partaker = Annotated[Caller, Depends(partaker)]
Capturer = Annotated[Caller, Depends(capturer)]
JobReader = Annotated[Caller, Depends(job_reader)]
KeyReader = Annotated[Caller, Depends(key_reader)]
DataProtection = Annotated[Caller, Depends(data_protection)]
