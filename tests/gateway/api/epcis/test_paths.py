"""What a path under /epcis allows, is told the same by OPTIONS and by every refusal."""

import httpx
import pytest

from tests.gateway.api.epcis.asking import refused


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("", "OPTIONS, GET"), ("/events", "OPTIONS, GET, POST"), ("/capture", "OPTIONS, GET, POST"),
        ("/events/urn:x:1", "OPTIONS, GET"), ("/epcs", "OPTIONS, GET"), ("/bizSteps/shipping/events", "OPTIONS, GET"),
        ("/queries/x", "OPTIONS, GET, DELETE"), ("/queries/x/subscriptions", "OPTIONS, GET, POST"),
    ],
)  # fmt: skip
def test_a_path_says_what_it_allows(operator: httpx.Client, path: str, allowed: str) -> None:
    told = operator.options(f"/epcis{path}")
    assert (told.status_code, told.headers["allow"]) == (204, allowed)
    for method in {"HEAD", "PUT", "PATCH", "FOO", "POST", "DELETE"} - {*allowed.split(", ")}:
        answer = operator.request(method, f"/epcis{path}")
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed), method


@pytest.mark.parametrize("path", ["foo", "foo/bar", "foo/bar/events", "nextPageToken/x", "", "capture/a/b"])
def test_a_path_that_is_none_allows_nothing(operator: httpx.Client, path: str) -> None:
    for method in ("OPTIONS", "GET", "PUT", "POST", "FOO"):
        refused(operator.request(method, f"/epcis/{path}"), 404, "NoSuchNameException")


def test_a_page_token_cannot_be_given_up(auditor: httpx.Client, maker: httpx.Client) -> None:
    refused(auditor.delete("/epcis/nextPageToken/abc"), 501, "ImplementationException", "page tokens")
    refused(maker.delete("/epcis/nextPageToken/abc"), 403, "SecurityException")
