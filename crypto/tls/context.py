"""What a TLS endpoint offers and whom it believes: contexts of pyOpenSSL, set as strictly as Python's own are.

TLS 1.2 or newer; 1.3 alone where a post-quantum group is required. The order of groups is OpenSSL's own: hybrids first,
and a server asks again (HelloRetryRequest) when a client could do a hybrid and sent a share of another group.

Trust boundary: files of the operator. Three things that pyOpenSSL does not offer are OpenSSL's own functions, called
through the bindings that `cryptography` brings: the list of groups, and the name that a server's certificate must have.
"""

import ipaddress
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from crypto.errors import TlsError
from crypto.tls.groups import POST_QUANTUM, UNKNOWN, is_post_quantum, known

_lib: Any = Binding().lib
# Of TLS 1.2, as in Python's ssl.
_CIPHERS: Final = b"@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
_NO_PARTIAL_WILDCARDS: Final = 0x4  # X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS of x509v3.h, as in Python's ssl
_SESSIONS: Final = b"sealtrail"  # of no meaning; without one, clients with certificates cannot resume


def server_context(
    certificate: Path, key: Path, client_ca: Path | None = None, *, require_post_quantum: bool = False
) -> SSL.Context:
    """For a server with this chain and key (PEM); `client_ca` lets clients show a certificate of that authority.

    Raises:
        TlsError: a file cannot be used, or OpenSSL has no post-quantum group and one is required.
    """
    context = _context(SSL.TLS_SERVER_METHOD, require_post_quantum)
    try:
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(key))
        context.check_privatekey()
        if client_ca is not None:
            context.load_verify_locations(str(client_ca))
            context.set_verify(SSL.VERIFY_PEER)  # whoever shows one must show a good one
    except SSL.Error as e:
        files = ", ".join(str(file) for file in (certificate, key, client_ca) if file)
        raise TlsError(f"cannot use the TLS files {files}: {words(e)}") from e
    context.set_session_id(_SESSIONS)
    return context


def client_context(ca: Path | None, *, require_post_quantum: bool = False) -> SSL.Context:
    """For a client that believes this authority (PEM) alone, or those of the system.

    Raises:
        TlsError: as `server_context`.
    """
    context = _context(SSL.TLS_CLIENT_METHOD, require_post_quantum)
    context.set_verify(SSL.VERIFY_PEER)
    try:
        if ca is None:
            context.set_default_verify_paths()
        else:
            context.load_verify_locations(str(ca))
    except SSL.Error as e:
        raise TlsError(f"cannot use the authority's file {ca}: {words(e)}") from e
    return context


def _context(method: int, require_post_quantum: bool) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_3_VERSION if require_post_quantum else SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection keeps no record buffers
    if require_post_quantum:
        _only_post_quantum(context)
    return context


def _only_post_quantum(context: SSL.Context) -> None:
    """The hybrids that OpenSSL has. Each is tried alone and none marked as optional: OpenSSL takes a list of only
    unknown names when they are."""
    had = [name for name in POST_QUANTUM if _set_groups(context, name)]
    if not had or not _set_groups(context, ":".join(had)):
        raise TlsError(
            f"expected an OpenSSL with one of {', '.join(POST_QUANTUM)} (3.5 or newer), got "
            f"{SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode()}; unset require_post_quantum, or upgrade cryptography"
        )


def _set_groups(context: SSL.Context, names: str) -> bool:
    done: int = _lib.SSL_CTX_set1_curves_list(context._context, names.encode())
    _lib.ERR_clear_error()
    return done == 1


def expect_name(connection: SSL.Connection, host: str) -> None:
    """The server's certificate must be for this name or address (RFC 9525); the handshake fails otherwise."""
    parameters = _lib.SSL_get0_param(connection._ssl)
    try:
        address = ipaddress.ip_address(host).packed
    except ValueError:
        name = _idna(host)
        connection.set_tlsext_host_name(name)
        _lib.X509_VERIFY_PARAM_set_hostflags(parameters, _NO_PARTIAL_WILDCARDS)
        done = _lib.X509_VERIFY_PARAM_set1_host(parameters, name, len(name))
    else:
        done = _lib.X509_VERIFY_PARAM_set1_ip(parameters, address, len(address))
    if done != 1:
        raise TlsError(f"expected the name of a host, got {host!r}")


def _idna(host: str) -> bytes:
    """A name as it stands in certificates. An empty one would be checked against nothing."""
    try:
        name = host.encode("idna")
    except UnicodeError as e:
        raise TlsError(f"expected the name of a host, got {host[:80]!r}: {e}") from e
    if not name or b"\0" in name:
        raise TlsError(f"expected the name of a host, got {host[:80]!r}")
    return name


def group_of(connection: SSL.Connection, *, require_post_quantum: bool = False) -> str:
    """The group that a connection took, after its handshake.

    Raises:
        TlsError: it is not post-quantum although that is required. The list of groups prevents it, and is not trusted.
    """
    try:
        name = connection.get_group_name()
    except NotImplementedError:  # an OpenSSL before 3.2
        return UNKNOWN
    if require_post_quantum and not is_post_quantum(name or ""):
        raise TlsError(f"expected a post-quantum key exchange, got {name}")
    return known(name)


def common_name(connection: SSL.Connection) -> str | None:
    """The only subject common name of the peer's verified certificate; None where there is none, or several."""
    certificate = connection.get_peer_certificate(as_cryptography=True)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME) if certificate else []
    return str(names[0].value) if len(names) == 1 else None


def words(error: SSL.Error) -> str:
    """OpenSSL's reasons for a person."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(reason for _, _, reason in queue if reason) or " ".join(map(str, error.args)) or "no reason given"
