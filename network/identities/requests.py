"""Certificates of an organisation that has a CA of its own: requests go out as files, certificates come back as files.

Beside each node's and user's keys lies identity.csr or tls.csr while a certificate is wanted; the answer is put there
as identity.crt or tls.crt. An answer is untrusted: it comes into use only after all checks of crypto.x509_request, so
a wrong one never takes the place of one that works.
"""

import os

from crypto.errors import SealtrailError
from crypto.files import write_durably
from crypto.x509_request import accept_certificate, certificate_request, new_key
from network.errors import NetworkError
from network.identities.authorities import bundle
from network.identities.places import Place
from network.layout import Layout

MAX_ANSWER_BYTES = 16 * 1024


class UnsignedError(NetworkError):
    """An organisation's own authority has not yet given all certificates."""


def ask(place: Place) -> None:
    """Write a request for the place's key, which is made if it is missing."""
    for file in (place.key, place.certificate):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not place.key.exists():
        write_durably(place.key, new_key(), mode=0o600)
    if not place.request.exists():
        write_durably(place.request, certificate_request(place.key.read_bytes(), place.wanted))


def accept(layout: Layout, place: Place) -> bool:
    """Take an answer into use. False where there is none.

    Raises:
        NetworkError: it is not what was asked for; names the file, what was expected and what came.
    """
    if not place.answer.exists():
        return False
    authority = bundle(layout, place.wanted.organisation, place.by)
    with place.answer.open("rb") as file:
        answer = file.read(MAX_ANSWER_BYTES + 1)
    try:
        certificate = accept_certificate(answer, place.key.read_bytes(), place.wanted, authority)
    except SealtrailError as e:
        raise NetworkError(f"{place.answer}: {e}; put the right one there, or remove it") from e
    write_durably(place.certificate, certificate)
    place.request.unlink(missing_ok=True)
    place.answer.unlink()
    return True


def require_signed(layout: Layout, unsigned: list[Place]) -> None:
    """UnsignedError with all requests that are open, unless there are none."""
    if unsigned:
        names = ", ".join(os.path.relpath(place.request, layout.topology.folder) for place in unsigned)
        raise UnsignedError(
            f"{len(unsigned)} certificates are to be signed by the organisations' own authorities; have each request "
            f"below {layout.topology.folder} signed, put the certificate (PEM) beside it with the ending .crt in "
            f"place of .csr, and run this again: {names}"
        )
