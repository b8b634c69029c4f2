"""The REST interface: records, proofs, sources, the log as tlog-tiles, enrolment, health and metrics.

Trust boundary: every request is untrusted. Sizes, rates, form and scope are checked before anything is read;
refusals are application/problem+json (RFC 9457). Documentation: docs/rest.md and /v1/openapi.json.
"""

from gateway.api.app import create_app
from gateway.api.ratelimit import RateLimits
from gateway.api.services import Services

__all__ = ["RateLimits", "Services", "create_app"]
