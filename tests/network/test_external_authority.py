"""An organisation with a CA of its own: requests, what is refused of the answers, and a network that runs on them."""

import datetime
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from typer.testing import CliRunner

from crypto.errors import KeyMaterialError
from crypto.x509_request import Bundle
from network.cli import app
from network.errors import NetworkError, TopologyError
from network.identities.msp_folders import make_identities, request_identities
from network.identities.places import Place, places
from network.identities.requests import UnsignedError, accept
from network.layout import Layout, lay_out
from network.lifecycle import clean, status, up
from network.renewal import renew
from network.topology import AuthorityKind, Consensus, Organisation, Topology, load_topology
from tests.network.external_ca import LEAF, TLS, OpensslCa, has_high_s
from tests.network.networks import need_fabric, topology
from tests.torture.scale import long_only

PEER = "peer0.carriermsp"


@pytest.fixture
def cas(tmp_path: Path) -> dict[str, OpensslCa]:
    return {what: OpensslCa(tmp_path / "their-ca" / what, what) for what in ("identity", "tls")}


@pytest.fixture
def wanted(tmp_path: Path, cas: dict[str, OpensslCa]) -> Topology:
    """PlantMSP has an authority made here, CarrierMSP an external one; one orderer, PlantMSP's."""
    own = topology(tmp_path, partners=1, consensus=Consensus.RAFT, orderers=1)
    ca, tls_ca = str(cas["identity"].bundle), str(cas["tls"].bundle)
    carrier = Organisation(msp_id="CarrierMSP", authority=AuthorityKind.EXTERNAL, ca=ca, tls_ca=tls_ca)
    return msgspec.structs.replace(own, organisations=[carrier, *own.organisations])


@pytest.fixture
def layout(wanted: Topology) -> Layout:
    made = lay_out(wanted)
    request_identities(made)
    return made


def _place(layout: Layout, what: str, name: str = PEER) -> Place:
    return next(place for place in places(layout) if (place.wanted.name, place.what) == (name, what))


def _sign_all(layout: Layout, cas: dict[str, OpensslCa]) -> int:
    requests = [place for place in places(layout) if place.request.exists()]
    for place in requests:
        place.answer.write_bytes(cas[place.what].sign_as_asked(place.request))
    return len(requests)


def test_requests_say_what_the_certificate_is_for(layout: Layout) -> None:
    identity, tls = _place(layout, "identity"), _place(layout, "tls")
    for place in (identity, tls):
        assert place.key.stat().st_mode & 0o777 == 0o600
        asked = x509.load_pem_x509_csr(place.request.read_bytes())
        assert asked.is_signature_valid
    subject = x509.load_pem_x509_csr(identity.request.read_bytes()).subject.rfc4514_string()
    assert subject == f"CN={PEER},OU=peer,O=CarrierMSP"
    names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [PEER, "localhost"]
    assert not _place(layout, "identity", "peer0.plantmsp").request.exists()  # made here


def test_up_stops_and_names_what_is_unsigned(wanted: Topology, layout: Layout) -> None:
    with pytest.raises(UnsignedError) as caught:
        make_identities(layout)
    told = str(caught.value)
    assert told.startswith("8 certificates are to be signed")
    assert "\n" not in told
    assert "nodes/orderer0.carriermsp/tls.csr" in told
    assert "organisations/CarrierMSP/users/gateway/identity.csr" in told
    assert "plantmsp" not in told
    before = {path: path.read_bytes() for path in wanted.folder.rglob("*") if path.is_file()}
    assert len(request_identities(layout)) == 8
    assert before == {path: path.read_bytes() for path in wanted.folder.rglob("*") if path.is_file()}


def _of_another_key(ca: OpensslCa, layout: Layout, place: Place) -> bytes:
    return ca.sign(_place(layout, place.what, "gateway.carriermsp").request, LEAF)


def _of_another_authority(ca: OpensslCa, layout: Layout, place: Place) -> bytes:
    stranger = OpensslCa(layout.topology.folder.parent / "stranger", "identity")  # of the same names
    return stranger.sign(place.request, LEAF)


def _of_the_root(ca: OpensslCa, layout: Layout, place: Place) -> bytes:
    return ca.sign(place.request, LEAF, root=True)


def _without_signing(ca: OpensslCa, layout: Layout, place: Place) -> bytes:
    return ca.sign(place.request, LEAF.replace("digitalSignature", "keyEncipherment"))


def _ended(ca: OpensslCa, layout: Layout, place: Place) -> bytes:
    return ca.sign(place.request, LEAF, "-days", "-1")


def _of_a_role(*units: str) -> Callable[[OpensslCa, Layout, Place], bytes]:
    """The authority that gives another subject than was asked for."""

    def sign(ca: OpensslCa, layout: Layout, place: Place) -> bytes:
        request = place.request.with_name("other.csr")
        subject = "/O=CarrierMSP" + "".join(f"/OU={unit}" for unit in units) + f"/CN={PEER}"
        command = ["openssl", "req", "-new", "-key", str(place.key), "-subj", subject, "-out", str(request)]
        subprocess.run(command, check=True, capture_output=True)
        return ca.sign(request, LEAF)

    return sign


@pytest.mark.parametrize(
    ("sign", "told"),
    [
        (_of_another_key, "got one of another key"),
        (_of_another_authority, "does not lead to a pinned root"),
        (_of_the_root, "lowest intermediate authority"),
        (_without_signing, "digitalSignature"),
        (_ended, "valid now"),
        (_of_a_role("orderer"), "expected the organisational unit OU=peer, got orderer"),
        (_of_a_role("peer", "admin"), "expected the organisational unit OU=peer, got admin, peer"),
        (_of_a_role(), "OU=peer, got none"),
        (lambda *_: b"no certificate", "expected one X.509 certificate"),
        (lambda *_: bytes(20_000), "at most 16384 bytes"),
    ],
)
def test_a_wrong_identity_is_refused_and_stays_out(
    layout: Layout, cas: dict[str, OpensslCa], sign: Callable[[OpensslCa, Layout, Place], bytes], told: str
) -> None:
    place = _place(layout, "identity")
    place.answer.write_bytes(sign(cas["identity"], layout, place))
    with pytest.raises(NetworkError, match=told) as caught:
        accept(layout, place)
    assert str(place.answer) in str(caught.value)
    assert not place.certificate.exists()


@pytest.mark.parametrize(
    ("extensions", "told"),
    [
        (LEAF, "TLS certificate with names and purposes"),
        (f"{TLS}subjectAltName=DNS:localhost,IP:127.0.0.1", f"got none for {PEER}"),
        (f"{TLS}subjectAltName=DNS:{PEER},DNS:localhost", "got none for 127.0.0.1"),
        (f"{LEAF}extendedKeyUsage=serverAuth\nsubjectAltName=DNS:{PEER},DNS:localhost,IP:127.0.0.1", "both sides"),
    ],
)
def test_a_wrong_tls_certificate_is_refused(
    layout: Layout, cas: dict[str, OpensslCa], extensions: str, told: str
) -> None:
    place = _place(layout, "tls")
    place.answer.write_bytes(cas["tls"].sign(place.request, extensions))
    with pytest.raises(NetworkError, match=told):
        accept(layout, place)


@pytest.mark.parametrize("high", [True, False])
def test_a_signature_with_a_high_s_is_written_as_fabric_writes_it(
    layout: Layout, cas: dict[str, OpensslCa], high: bool
) -> None:
    """The certificate that openssl signed so still verifies, and with a low one its bytes stay."""
    place = _place(layout, "tls")
    signed = cas["tls"].sign_as_asked(place.request, high_s=high)
    place.answer.write_bytes(signed)
    assert accept(layout, place)
    taken = place.certificate.read_bytes()
    assert not has_high_s(taken)
    assert (taken == signed) is not high
    place.home.joinpath("taken.pem").write_bytes(taken)
    command = ["openssl", "verify", "-CAfile", str(cas["tls"].bundle), str(place.home / "taken.pem")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert not place.request.exists()
    assert not place.answer.exists()


def test_a_file_that_is_no_authority_is_refused(layout: Layout, cas: dict[str, OpensslCa]) -> None:
    bundle = cas["identity"].bundle.read_bytes()
    intermediate = bundle[: bundle.index(b"-----END CERTIFICATE-----\n") + 26]
    leaf = cas["identity"].sign(_place(layout, "identity").request, LEAF)
    for data, told in [
        (intermediate, "self-signed root"), (bundle + leaf, "CA:TRUE"), (b"x", "PEM"), (bytes(70_000), "at most"),
        (intermediate + cas["tls"].bundle.read_bytes(), "does not lead to a pinned root"),
    ]:  # fmt: skip
        with pytest.raises(KeyMaterialError, match=told):
            Bundle.read(data)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('authority = "external"', "name its `ca` and `tls_ca`"),
        ('authority = "external"\nca = "ca.pem"', "name its `ca` and `tls_ca`"),
        ('ca = "ca.pem"', 'need `authority = "external"`'),
        ('authority = "theirs"', "theirs"),
    ],
)
def test_half_an_authority_in_the_topology_is_named(tmp_path: Path, lines: str, told: str) -> None:
    file = tmp_path / "topology.toml"
    file.write_text(f'[[organisations]]\nmsp_id = "PlantMSP"\n{lines}\n')
    with pytest.raises(TopologyError, match=told):
        load_topology(file)


def test_the_command_lists_requests_and_where_answers_go(tmp_path: Path, cas: dict[str, OpensslCa]) -> None:
    """Files of the authority are relative to the topology."""
    file = tmp_path / "topology.toml"
    file.write_text(
        '[[organisations]]\nmsp_id = "CarrierMSP"\nauthority = "external"\n'
        'ca = "their-ca/identity/bundle.pem"\ntls_ca = "their-ca/tls/bundle.pem"\n'
    )
    said = CliRunner().invoke(app, ["request", "--topology", str(file)], catch_exceptions=False).stdout
    arrows = [line.split(" -> ") for line in said.splitlines() if " -> " in line]
    assert len(arrows) == 4 + 4 * 2 + 2
    assert all(Path(request.strip()).is_file() and answer.endswith(".crt") for request, answer in arrows)


@long_only
@pytest.mark.fabric
def test_a_network_with_an_external_organisation_runs_and_is_renewed(
    wanted: Topology, cas: dict[str, OpensslCa]
) -> None:
    """The orderer and one of two peers have certificates of an intermediate authority made by openssl."""
    need_fabric()
    from chain.ledger.fabric.evidence import verify
    from tests.network.anchoring import Anchoring

    with pytest.raises(UnsignedError):
        up(wanted)
    layout = lay_out(wanted)
    assert _sign_all(layout, cas) == 8
    try:
        gateway = Anchoring(up(wanted)["CarrierMSP"])
        gateway.enrol()
        gateway.anchor()
        # Renewal: requests for the same keys; the old certificates stay until the answers are there.
        old = _place(layout, "identity").certificate.read_bytes()
        asked = renew(wanted, None)
        assert len(asked.requested) == 8
        assert not [name for name in asked.renewed if "chaincode" not in name and "plantmsp" not in name]
        assert _place(layout, "identity").certificate.read_bytes() == old
        _sign_all(layout, cas)
        done = renew(wanted, datetime.timedelta(0))
        assert len(done.renewed) == 8
        assert sorted(done.restarted) == ["orderer0.carriermsp", PEER]
        assert _place(layout, "identity").certificate.read_bytes() != old
        gateway.anchor()
        pin = gateway.evidence[0].config_header.hash
        assert [verify(evidence, {pin}).endorsed_by for evidence in gateway.evidence] == [set(wanted.msp_ids)] * 2
        assert {node.health for node in status(wanted)} == {"healthy"}
    finally:
        clean(wanted)
