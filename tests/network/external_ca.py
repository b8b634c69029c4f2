"""A CA of another make: the `openssl` program, with a root, an intermediate authority, and what they sign."""

import shutil
import subprocess
from pathlib import Path

import pytest

LEAF = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
TLS = LEAF + "extendedKeyUsage=serverAuth,clientAuth\n"
AUTHORITY = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"


class OpensslCa:
    """One authority in a folder: `bundle` is the PEM file with root and intermediate."""

    def __init__(self, folder: Path, name: str) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("the program openssl is not here")
        folder.mkdir(parents=True)
        self._folder, self._intermediate, self._root = folder, f"intermediate-{name}", f"root-{name}"
        self.bundle = folder / "bundle.pem"
        for one in (self._root, self._intermediate):
            self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{one}.key")
            self._openssl("req", "-new", "-key", f"{one}.key", "-subj", f"/O=Carrier/CN={one}", "-out", f"{one}.csr")
        (folder / "authority.cnf").write_text(AUTHORITY)
        self._x509(f"{self._root}.csr", "authority.cnf", f"{self._root}.crt", "-signkey", f"{self._root}.key")
        self._x509(f"{self._intermediate}.csr", "authority.cnf", f"{self._intermediate}.crt", *self._by(self._root))
        self.bundle.write_text(self._text(self._intermediate) + self._text(self._root))

    def sign(self, request: Path, extensions: str, *options: str, root: bool = False) -> bytes:
        """Sign a request, by the intermediate or by the root; names and role are those that the request has."""
        (self._folder / "leaf.cnf").write_text(extensions)
        by = self._by(self._root if root else self._intermediate)
        self._x509(str(request), "leaf.cnf", "leaf.crt", *by, *options)
        return (self._folder / "leaf.crt").read_bytes()

    def sign_as_asked(self, request: Path, *, high_s: bool | None = None) -> bytes:
        """With the names that the request asks for; `high_s`: until the signature's s is (not) high."""
        said = self._openssl("req", "-in", str(request), "-noout", "-text")
        names = next((line.strip() for line in said.splitlines() if "DNS:" in line), "")
        names = names.replace("IP Address:", "IP:").replace(" ", "")
        extensions = f"{TLS}subjectAltName={names}\n" if names else LEAF
        while True:
            signed = self.sign(request, extensions)
            if high_s is None or has_high_s(signed) is high_s:
                return signed

    def _by(self, one: str) -> tuple[str, ...]:
        return "-CA", f"{one}.crt", "-CAkey", f"{one}.key", "-CAcreateserial"

    def _x509(self, request: str, extensions: str, output: str, *options: str) -> None:
        days = [] if "-days" in options else ["-days", "900"]
        form = ["-extfile", extensions, "-sha256", "-out", output]
        self._openssl("x509", "-req", "-in", request, *form, *days, *options)

    def _text(self, one: str) -> str:
        return (self._folder / f"{one}.crt").read_text()

    def _openssl(self, *arguments: str) -> str:
        done = subprocess.run(["openssl", *arguments], cwd=self._folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def has_high_s(certificate: bytes) -> bool:
    """Whether Fabric would rewrite this certificate's signature."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    from crypto.x509_authority import P256_ORDER

    return decode_dss_signature(x509.load_pem_x509_certificate(certificate).signature)[1] > P256_ORDER // 2
