"""The keys that commands are given: public key files of others, and one's own key store.

A public key file says itself what it is of; whoever names it on the command line decides to believe that. The store is
opened with its passphrase, and only when one of its keys is needed.
"""

from pathlib import Path

from crypto.envelope.header import KeyFinder
from crypto.errors import KeyMaterialError
from crypto.kem import KemPublicKey
from crypto.keys import PrivateKey, PublicKey
from crypto.keystore.passphrase import Passphrase
from crypto.keystore.public import read_public
from crypto.keystore.store import KeyStore


def encapsulation_key(path: Path) -> KemPublicKey:
    """The key in this file, to seal to."""
    key = read_public(path).key
    if not isinstance(key, KemPublicKey):
        raise KeyMaterialError(f"{path} is an {key.algorithm} key: it signs, nothing can be sealed to it")
    return key


def verifying_key(path: Path) -> PublicKey:
    """The key in this file, to verify a signature with."""
    key = read_public(path).key
    if not isinstance(key, PublicKey):
        raise KeyMaterialError(f"{path} is an {key.suite} key: it opens, it does not sign")
    return key


def finder(folder: Path) -> KeyFinder:
    """The keys of this store that open, by their kids; also those that were rotated or revoked."""
    return _store(folder).decapsulation_key


def signer(folder: Path, name: str) -> PrivateKey:
    """The current signature key of this name in the store."""
    return _store(folder).signing_key(name)


def _store(folder: Path) -> KeyStore:
    if not folder.is_dir():
        raise KeyMaterialError(f"{folder} is no folder of keys; make a key there with: sealtrail keys new")
    return KeyStore(folder, Passphrase())
