"""Identities on disk: authorities, MSP folders and TLS pairs of every organisation, made once and then kept.

An MSP folder has the form that Fabric reads (cacerts, intermediatecerts and the same for TLS, signcerts, keystore,
config.yaml with NodeOUs). Private keys are written with mode 0600 into folders of mode 0700. In a network of several
companies each would run this for itself; here one operator holds all the keys, which is for one machine only.
"""

import json
from pathlib import Path

from crypto.files import write_durably
from crypto.x509_authority import Credential
from network.identities.authorities import authority, bundle, is_made_here, make_authorities
from network.identities.places import By, Place, places
from network.identities.requests import accept, ask, require_signed
from network.layout import Layout

NODE_OUS = ("client", "peer", "admin", "orderer")


def make_identities(layout: Layout) -> None:
    """Write what is missing; what is there stays as it is.

    Raises:
        UnsignedError: an external authority has not yet given every certificate; the requests are written.
    """
    require_signed(layout, request_identities(layout))


def request_identities(layout: Layout) -> list[Place]:
    """As make_identities, but returns the certificates that external authorities have yet to give."""
    for organisation in layout.topology.organisations:
        make_authorities(layout, organisation)
        _write_public_msp(layout, organisation.msp_id, layout.organisation(organisation.msp_id) / "msp")
    for place in places(layout):
        if is_made_here(layout, place.wanted.organisation, place.by):
            _make(layout, place)
        elif not accept(layout, place) and not place.certificate.exists():
            _write_frame(layout, place)
            ask(place)
    return [place for place in places(layout) if not place.certificate.exists()]


def _make(layout: Layout, place: Place) -> None:
    """Key and certificate by an authority that was made here; the certificate comes last: it is the mark of all."""
    if place.certificate.exists():
        return
    _write_frame(layout, place)
    issued = _issue(layout, place)
    _put(place.key, issued.key, mode=0o600)
    _put(place.certificate, issued.certificate)


def _issue(layout: Layout, place: Place) -> Credential:
    by, days = authority(layout, place.wanted.organisation, place.by), layout.topology.certificate_days
    if place.wanted.unit is not None:
        return by.issue(place.wanted.name, place.wanted.unit, days)
    return by.issue_tls(place.wanted.name, days, place.wanted.hosts)


def _write_frame(layout: Layout, place: Place) -> None:
    """What an identity's MSP folder has beside the identity itself."""
    if place.by is By.CA:
        _write_public_msp(layout, place.wanted.organisation, place.msp)


def _write_public_msp(layout: Layout, msp_id: str, folder: Path) -> None:
    """An MSP folder without identity; an organisation's own one defines it on the channel."""
    for by, prefix in ((By.CA, ""), (By.TLS_CA, "tls")):
        certificates = bundle(layout, msp_id, by)
        _put_each(folder / f"{prefix}cacerts", by, certificates.roots)
        _put_each(folder / f"{prefix}intermediatecerts", by, certificates.intermediates)
    _put(folder / "config.yaml", json.dumps(node_ous()).encode())


def _put_each(folder: Path, name: str, certificates: tuple[bytes, ...]) -> None:
    """Fabric reads one certificate from each file."""
    for number, certificate in enumerate(certificates):
        _put(folder / f"{name}{number or ''}.pem", certificate)


def node_ous() -> dict[str, object]:
    """NodeOUs: a certificate's role is its organisational unit. Fabric reads YAML, of which JSON is a part."""
    roles: dict[str, object] = {
        f"{unit.title()}OUIdentifier": {"OrganizationalUnitIdentifier": unit} for unit in NODE_OUS
    }
    return {"NodeOUs": {"Enable": True} | roles}


def _put(file: Path, content: bytes, *, mode: int = 0o644) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists() or file.read_bytes() != content:
        write_durably(file, content, mode=mode)
