"""The two ends of the handshake. Each message is used once; each key is used once, so its nonce is zero.

Trust boundary: what an end accepts, it accepts from whoever could make it: the second message only from the holder of
the gateway's static key, the third only from the holder of the device's signing key. What is not accepted changes
nothing: either end may go on waiting, as often and as long as its owner says. HandshakeError has the reason, for the
local log only. docs/formats/session.md has every byte.
"""

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from crypto import flat, labels
from crypto.errors import SealtrailError
from crypto.kem import SEED_BYTES, KemPrivateKey, KemPublicKey, KemSuite
from crypto.keys import PrivateKey, PublicKey
from crypto.session import messages, schedule
from crypto.session.copies import Original
from crypto.session.errors import HandshakeError
from crypto.session.frames import Direction, FrameOpener, FrameSealer
from crypto.session.messages import M1, M2, M3, M4, NONCE, SID, Hello, Terms
from crypto.session.schedule import Transcript, expand, extract
from crypto.session.suites import NONCE_BYTES, PREFERRED, Suite, first_mutual

_NONCE: Final = bytes(NONCE_BYTES)  # of keys that seal one message
_Encapsulate = Callable[[KemPublicKey], tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Draws:
    """All that is drawn at random for one handshake. Given only where test vectors are made."""

    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(NONCE))
    seed: bytes = field(default_factory=lambda: secrets.token_bytes(SEED_BYTES[KemSuite.X_WING]), repr=False)
    sid: bytes = field(default_factory=lambda: secrets.token_bytes(SID))
    encapsulate: _Encapsulate = KemPublicKey.encapsulate


@dataclass(frozen=True, slots=True)
class Session:
    """What a handshake gives to one end. `sid` names the session on the wire, `source` is the device's name."""

    sid: bytes
    source: str
    suite: Suite
    terms: Terms
    sealer: FrameSealer
    opener: FrameOpener


class DeviceHandshake:
    """The device's end: send `hello`, give what comes to `answer` and `finish`."""

    def __init__(self, gateway: KemPublicKey, key: PrivateKey, hello: Hello, suites: Sequence[int] = PREFERRED,
                 draws: Draws | None = None) -> None:  # fmt: skip
        draws, self._original = draws or Draws(), Original()
        self._gateway, self._key, self._source = gateway, key, hello.source
        self._suites, self._ephemeral = bytes(suites), KemPrivateKey(KemSuite.X_WING, draws.seed)
        self._transcript = Transcript(gateway.kid)
        encapsulation, secret = draws.encapsulate(gateway)
        start = self._transcript.hash
        self._secret = extract(start, secret)
        fields = {3: self._suites, 4: draws.nonce, 5: encapsulation, 6: self._ephemeral.public.raw}
        prefix = messages.encode(M1, fields)
        sealed = _seal(expand(self._secret, schedule.SEAL_1, start), hello.encode(), start + prefix)
        self.nonce = draws.nonce
        self.hello = messages.encode(M1, fields | {7: sealed})
        self._secret = expand(self._secret, schedule.CHAIN, self._transcript.add(self.hello))
        self._welcomed: tuple[bytes, Suite, Terms] | None = None

    @property
    def sid(self) -> bytes:
        """The name of the session, once the second message told it; empty before."""
        return self._welcomed[0] if self._welcomed else b""

    def answer(self, welcome: bytes) -> bytes:
        """The third message, to the second. HandshakeError: not the gateway's answer to `hello`; go on waiting.
        SessionEndedError, here and later: this process is a fork of the one that began, and would use the same keys."""
        self._original.check()
        if self._welcomed is not None:
            raise HandshakeError("the second message came before; this is another one")
        item = _decoded(welcome, M2)
        th1 = self._transcript.hash
        # 1. The secret that the gateway encapsulated to the ephemeral key, onto the first one.
        secret = extract(self._secret, _decapsulated(self._ephemeral, item[6]))
        # 2. What is sealed opens only for who took part, and only with this message around it.
        prefix = messages.encode(M2, {key: item[key] for key in (3, 4, 5, 6)})
        plain = _open(expand(secret, schedule.SEAL_2, th1), item[7], th1 + prefix)
        try:
            confirmation, offered, terms = Terms.decode(plain)
        except SealtrailError as e:
            raise HandshakeError(f"the second message's content: {e}") from e
        # 3. Key confirmation: a MAC, because an AEAD does not commit to its key.
        expected = _confirmation(secret, th1, prefix, terms.encode(offered))
        if not hmac.compare_digest(confirmation, expected):
            raise HandshakeError("the second message does not confirm the key")
        # 4. No downgrade: the first of our list that the gateway has.
        if (suite := first_mutual(self._suites, offered)) != item[5]:
            raise HandshakeError(f"the gateway chose suite {item[5]}, the first in common is {int(suite)}")
        return self._authenticate(welcome, item[3], secret, suite, terms)

    def _authenticate(self, welcome: bytes, sid: bytes, secret: bytes, suite: Suite, terms: Terms) -> bytes:
        th2 = self._transcript.add(welcome)
        signed = _signed(th2, self._key.public, self._gateway.kid, sid)
        signature = self._key.sign(signed, labels.DEVICE_AUTH)
        prefix = messages.encode(M3, {3: sid})
        sealed = _seal(expand(secret, schedule.SEAL_3, th2), signature, th2 + prefix)
        proof = messages.encode(M3, {3: sid, 4: sealed})
        self._transcript.add(proof)
        self._secret, self._welcomed = secret, (sid, suite, terms)
        del self._ephemeral
        return proof

    def finish(self, confirmation: bytes) -> Session:
        """The session, by the fourth message. HandshakeError: not the gateway's answer to the third."""
        self._original.check()
        if self._welcomed is None:
            raise HandshakeError("the fourth message came before the second")
        sid, suite, terms = self._welcomed
        item = _decoded(confirmation, M4)
        expected = _finish(self._secret, self._transcript.hash)
        if item[3] != sid or not hmac.compare_digest(item[4], expected):
            raise HandshakeError("the fourth message does not confirm the third")
        th4 = self._transcript.add(confirmation)
        return _session(self._secret, th4, sid, self._source, suite, terms, Direction.UP)


class GatewayHandshake:
    """The gateway's end, from the first message on: look at `hello`, send `welcome(...)`, then `finish`."""

    def __init__(self, key: KemPrivateKey, first: bytes, suites: Sequence[int] = PREFERRED,
                 draws: Draws | None = None) -> None:  # fmt: skip
        """HandshakeError: not a first message to this key, or no suite in common."""
        item = _decoded(first, M1)
        self._draws, self._offered, self._key = draws or Draws(), bytes(suites), key.public
        self._original = Original()
        # 1. The first mutual suite, before any cryptography.
        self.suite = first_mutual(item[3], self._offered)
        # 2. The secret under the static key. An altered encapsulation gives another one; then nothing opens.
        self._transcript = Transcript(key.public.kid)
        start = self._transcript.hash
        secret = extract(start, _decapsulated(key, item[5]))
        # 3. Who it says it is, bound to all that stands around it.
        prefix = messages.encode(M1, {n: item[n] for n in (3, 4, 5, 6)})
        plain = _open(expand(secret, schedule.SEAL_1, start), item[7], start + prefix)
        try:
            self.hello = Hello.decode(plain)
            self._ephemeral = KemPublicKey(KemSuite.X_WING, item[6])
        except SealtrailError as e:
            raise HandshakeError(f"the first message's content: {e}") from e
        self._secret = expand(secret, schedule.CHAIN, self._transcript.add(first))
        self._terms: Terms | None = None

    @property
    def sid(self) -> bytes:
        """The name of the session that may come of it, 16 random bytes."""
        return self._draws.sid

    def welcome(self, terms: Terms) -> bytes:
        """The second message; once."""
        if self._terms is not None:
            raise HandshakeError("the second message was made before")
        th1 = self._transcript.hash
        encapsulation, shared = self._draws.encapsulate(self._ephemeral)
        secret = extract(self._secret, shared)
        fields = {3: self.sid, 4: self._draws.nonce, 5: int(self.suite), 6: encapsulation}
        prefix, told = messages.encode(M2, fields), terms.encode(self._offered)
        plain = flat.encode({1: _confirmation(secret, th1, prefix, told), **told})
        sealed = _seal(expand(secret, schedule.SEAL_2, th1), plain, th1 + prefix)
        message = messages.encode(M2, fields | {7: sealed})
        self._transcript.add(message)
        self._secret, self._terms = secret, terms
        return message

    def finish(self, proof: bytes, device: PublicKey) -> tuple[bytes, Session]:
        """The fourth message and the session, once the third proves that `device` is at the other end. `device` is the
        key enrolled for `hello.source` under `hello.kid`. HandshakeError: it is not; another third message may be."""
        self._original.check()
        if self._terms is None or self.hello.kid != device.kid:
            raise HandshakeError("the third message before the second, or a key that the first did not name")
        item = _decoded(proof, M3)
        th2, terms = self._transcript.hash, self._terms
        # 1. It opens only for who took part.
        if item[3] != self.sid:
            raise HandshakeError("the third message is of another session")
        prefix = messages.encode(M3, {3: self.sid})
        signature = _open(expand(self._secret, schedule.SEAL_3, th2), item[4], th2 + prefix)
        # 2. The device's own signature over everything so far, this gateway and this session.
        try:
            device.verify(signature, _signed(th2, device, self._key.kid, self.sid), labels.DEVICE_AUTH)
        except SealtrailError as e:
            raise HandshakeError(f"{self.hello.source} is not proved: {e}") from e
        message = messages.encode(M4, {3: self.sid, 4: _finish(self._secret, self._transcript.add(proof))})
        th4 = self._transcript.add(message)
        session = _session(self._secret, th4, self.sid, self.hello.source, self.suite, terms, Direction.DOWN)
        del self._secret
        return message, session


def _session(secret: bytes, th4: bytes, sid: bytes, source: str, suite: Suite, terms: Terms,
             sends: Direction) -> Session:  # fmt: skip
    up, down = expand(secret, schedule.UP, th4), expand(secret, schedule.DOWN, th4)
    mine, theirs = (up, down) if sends is Direction.UP else (down, up)
    receives = Direction.DOWN if sends is Direction.UP else Direction.UP
    sealer = FrameSealer(suite, sid, sends, mine, terms.epoch_frames, terms.epoch_s)
    return Session(sid, source, suite, terms, sealer, FrameOpener(suite, sid, receives, theirs))


def _signed(th2: bytes, device: PublicKey, gateway: bytes, sid: bytes) -> bytes:
    """TH_2 ‖ kid of the device's key ‖ fingerprint of the gateway's ‖ sid, 112 bytes."""
    return th2 + device.kid + gateway + sid


def _confirmation(secret: bytes, th1: bytes, prefix: bytes, told: dict[int, Any]) -> bytes:
    return schedule.mac(expand(secret, schedule.MAC_2, th1), th1 + prefix + flat.encode(told))


def _finish(secret: bytes, th3: bytes) -> bytes:
    return schedule.mac(expand(secret, schedule.FINISH, th3), th3)


def _decoded(message: bytes, kind: int) -> dict[int, Any]:
    try:
        return messages.decode(message, kind)
    except SealtrailError as e:
        raise HandshakeError(f"message {kind}: {e}") from e


def _decapsulated(key: KemPrivateKey, encapsulation: bytes) -> bytes:
    try:
        return key.decapsulate(encapsulation)
    except SealtrailError as e:
        raise HandshakeError(f"the encapsulation: {e}") from e


def _seal(key: bytes, plaintext: bytes, around: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(_NONCE, plaintext, around)


def _open(key: bytes, sealed: bytes, around: bytes) -> bytes:
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, sealed, around)
    except InvalidTag as e:
        raise HandshakeError("the sealed part does not open: another key, another transcript, or altered") from e
