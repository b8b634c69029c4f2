"""The authorities of an organisation: made here, or the organisation's own CA, of which only certificates are here.

<organisation>/ca and tlsca: cert.pem, and key.pem where the authority was made here. <organisation>/link: the
authority between its peers and its chaincode server, always made here, and the peers' pair for that in link/peers.
"""

from pathlib import Path

from crypto.errors import KeyMaterialError
from crypto.files import write_durably
from crypto.x509_authority import AUTHORITY_DAYS, Authority, Credential
from crypto.x509_request import Bundle
from network.errors import NetworkError
from network.identities.places import CERTIFICATE, KEY, By
from network.layout import Layout
from network.topology import AuthorityKind, Organisation


def make_authorities(layout: Layout, organisation: Organisation) -> None:
    """Write what is missing."""
    for by in By:
        folder = layout.organisation(organisation.msp_id) / by
        if organisation.authority is AuthorityKind.EXTERNAL and by is not By.LINK:
            _take(folder, Path(organisation.ca if by is By.CA else organisation.tls_ca))
        else:
            _make(folder, organisation.msp_id, f"{by}.{organisation.msp_id.lower()}")
    _make_peers_pair(layout, organisation.msp_id)


def is_made_here(layout: Layout, msp_id: str, by: By) -> bool:
    """Whether its key is here, so that certificates can be given without asking anybody."""
    return (layout.organisation(msp_id) / by / KEY).exists()


def authority(layout: Layout, msp_id: str, by: By) -> Authority:
    """One that was made here."""
    folder = layout.organisation(msp_id) / by
    return Authority.load(Credential((folder / CERTIFICATE).read_bytes(), (folder / KEY).read_bytes()))


def bundle(layout: Layout, msp_id: str, by: By) -> Bundle:
    """The certificates of an authority."""
    return Bundle.read((layout.organisation(msp_id) / by / CERTIFICATE).read_bytes())


def peers_pair(layout: Layout, msp_id: str) -> Path:
    """Folder of the pair by which an organisation's peers are known to its chaincode server."""
    return layout.organisation(msp_id) / By.LINK / "peers"


def write_credential(folder: Path, credential: Credential) -> None:
    """Write key, then certificate."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(folder / KEY, credential.key, mode=0o600)
    write_durably(folder / CERTIFICATE, credential.certificate)


def _make(folder: Path, msp_id: str, name: str) -> None:
    if not (folder / CERTIFICATE).exists():
        write_credential(folder, Authority.create(msp_id, name).credential())


def _take(folder: Path, file: Path) -> None:
    """Copy an external authority's certificates, once they are known to be such."""
    if (folder / CERTIFICATE).exists():
        return
    try:
        content = file.read_bytes()
        Bundle.read(content)
    except OSError as e:
        raise NetworkError(f"cannot read the authority's certificates {file}: {e.strerror}") from e
    except KeyMaterialError as e:
        raise NetworkError(f"{file}: {e}") from e
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(folder / CERTIFICATE, content)


def _make_peers_pair(layout: Layout, msp_id: str) -> None:
    """It is part of the chaincode package, whose id must not change: it lasts as long as its authority."""
    folder = peers_pair(layout, msp_id)
    if not (folder / CERTIFICATE).exists():
        issued = authority(layout, msp_id, By.LINK).issue_tls(f"peers.{msp_id.lower()}", AUTHORITY_DAYS)
        write_credential(folder, issued)
