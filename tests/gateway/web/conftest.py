"""The filled site of the REST interface's tests, served."""

from tests.gateway.api.conftest import anybody, auditor, busy, own, server

__all__ = ["anybody", "auditor", "busy", "own", "server"]
