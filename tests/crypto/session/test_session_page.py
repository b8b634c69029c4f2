"""docs/formats/session.md and vectors/session.json, byte for byte.

The vectors are made here as the page says, with hashlib, hmac and three AEADs alone; then the program must make the
same bytes. SEALTRAIL_WRITE_VECTORS=1 writes both files. All is seeded but the two encapsulations, which cannot be:
those in the file stay, and their secrets are what the private keys find in them.
"""

import base64
import hmac
import json
import os
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV, ChaCha20Poly1305

from crypto.kem import KemPrivateKey, KemPublicKey, KemSuite
from crypto.keys import PrivateKey
from crypto.session import messages
from crypto.session.frames import FrameType
from crypto.session.handshake import DeviceHandshake, Draws, GatewayHandshake, Session
from crypto.session.messages import Hello, Terms
from crypto.session.static import StaticKey, open_announcement

DOCS = Path(__file__).resolve().parents[3] / "docs" / "formats"
VECTORS, PAGE = DOCS / "vectors" / "session.json", DOCS / "session.md"
WRITE = os.environ.get("SEALTRAIL_WRITE_VECTORS") == "1"
SOURCE, ORIGIN, BOOT, TIME = "fridge-7", "gateway.example/log", 3, 1_767_225_600_000_000
DEVICE_SEED, GATEWAY_SEED, STATIC_SEED, EPHEMERAL_SEED = (bytes(range(n, n + 32)) for n in (0, 32, 64, 96))
N_D, N_G, SID = bytes(range(128, 160)), bytes(range(160, 192)), bytes(range(192, 208))
SUITES, OFFERED, NOTE = b"\3\1\2", b"\1\2\3", b"gateway.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
UP, DOWN = f"st/1/{SOURCE}/frames/up", f"st/1/{SOURCE}/frames/down"
EPOCH_FRAMES, EPOCH_S, SESSION_S = 2, 600, 3600
LABEL, AUTH, ANNOUNCE = b"sealtrail/session/v1", b"sealtrail/device-auth/v1", b"sealtrail/session-key/v1"
AEADS = {1: ChaCha20Poly1305, 2: AESGCM, 3: AESGCMSIV}


def key_of(seed: bytes) -> PrivateKey:
    der = base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + seed)
    return PrivateKey.from_pem(b"-----BEGIN PRIVATE KEY-----\n" + der + b"\n-----END PRIVATE KEY-----\n")


DEVICE, GATEWAY = key_of(DEVICE_SEED), key_of(GATEWAY_SEED)
STATIC = KemPrivateKey(KemSuite.X_WING, STATIC_SEED)
EPHEMERAL = KemPrivateKey(KemSuite.X_WING, EPHEMERAL_SEED)

# The page, in a few lines


def extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt, secret, "sha256")


def expand(key: bytes, name: str, th: bytes = b"", length: int = 32) -> bytes:
    return hmac.digest(key, LABEL + b"/" + name.encode() + b"\0" + th + b"\1", "sha256")[:length]


def step(th: bytes, message: bytes) -> bytes:
    return sha256(th + len(message).to_bytes(4, "big") + message).digest()


def seal(key: bytes, plain: bytes, around: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(bytes(12), plain, around)


def frame(suite: int, keys: tuple[bytes, bytes], place: tuple[int, int, int, int, str], plain: bytes) -> bytes:
    (key, iv), (kind, epoch, seq, direction, topic) = keys, place
    nonce = (int.from_bytes(iv, "big") ^ seq).to_bytes(12, "big")
    numbers = epoch.to_bytes(4, "big"), seq.to_bytes(8, "big"), bytes([kind])
    name = len(topic).to_bytes(2, "big") + topic.encode()
    around = b"\1" + SID + numbers[0] + bytes([direction]) + name + numbers[1] + numbers[2]
    return b"\1" + numbers[2] + SID + numbers[0] + numbers[1] + AEADS[suite](key).encrypt(nonce, plain, around)


def build(ct_s: bytes, ct_e: bytes) -> dict[str, Any]:
    """Every value of the page, as bytes."""
    th0 = sha256(LABEL + sha256(STATIC.public.raw).digest()).digest()
    # M1
    ss_s = STATIC.decapsulate(ct_s)
    prk1 = extract(th0, ss_s)
    k1 = expand(prk1, "k1", th0)
    hello = cbor2.dumps({1: SOURCE, 2: sha256(DEVICE.public.raw).digest(), 3: BOOT})
    item: dict[int, Any] = {1: 1, 2: 1, 3: SUITES, 4: N_D, 5: ct_s, 6: EPHEMERAL.public.raw}
    m1 = cbor2.dumps(item | {7: seal(k1, hello, th0 + cbor2.dumps(item))})
    th1 = step(th0, m1)
    # M2
    ss_e = EPHEMERAL.decapsulate(ct_e)
    chain = expand(prk1, "chain", th1)
    prk2 = extract(chain, ss_e)
    k2, mac2 = expand(prk2, "k2", th1), expand(prk2, "mac2", th1)
    item = {1: 1, 2: 2, 3: SID, 4: N_G, 5: 3, 6: ct_e}
    prefix2, told = cbor2.dumps(item), {2: OFFERED, 3: EPOCH_FRAMES, 4: EPOCH_S, 5: SESSION_S, 6: TIME, 7: NOTE}
    confirm = hmac.digest(mac2, th1 + prefix2 + cbor2.dumps(told), "sha256")
    welcome = cbor2.dumps({1: confirm} | told)
    m2 = cbor2.dumps(item | {7: seal(k2, welcome, th1 + prefix2)})
    th2 = step(th1, m2)
    # M3
    k3 = expand(prk2, "k3", th2)
    signed = th2 + sha256(DEVICE.public.raw).digest() + sha256(STATIC.public.raw).digest() + SID
    signature = DEVICE.sign_raw(AUTH + b"\0" + signed)
    item = {1: 1, 2: 3, 3: SID}
    m3 = cbor2.dumps(item | {4: seal(k3, signature, th2 + cbor2.dumps(item))})
    th3 = step(th2, m3)
    # M4
    fin = expand(prk2, "fin", th3)
    m4 = cbor2.dumps({1: 1, 2: 4, 3: SID, 4: hmac.digest(fin, th3, "sha256")})
    th4 = step(th3, m4)
    # Frames: two of epoch 0, one of epoch 1, one down
    up, down = expand(prk2, "up", th4), expand(prk2, "down", th4)
    up1 = expand(up, "ratchet")
    keys = [(expand(s, "key"), expand(s, "iv", length=12)) for s in (up, up1, down)]
    frames = [
        frame(3, keys[0], (1, 0, 0, 1, UP), b"first"), frame(3, keys[0], (1, 0, 1, 1, UP), b"second"),
        frame(3, keys[1], (1, 1, 2, 1, UP), b"third"), frame(3, keys[2], (2, 0, 0, 2, DOWN), b"stored"),
    ]  # fmt: skip
    body = cbor2.dumps({1: 1, 2: ORIGIN, 3: TIME, 4: "x-wing", 5: STATIC.public.raw})
    return {
        "device_key": {"seed": DEVICE_SEED, "public": DEVICE.public.raw, "kid": sha256(DEVICE.public.raw).digest()},
        "gateway_key": {"seed": GATEWAY_SEED, "public": GATEWAY.public.raw},
        "static_key": {
            "seed": STATIC_SEED, "public": STATIC.public.raw, "fingerprint": sha256(STATIC.public.raw).digest(),
        },
        "m1": {
            "n_D": N_D, "ephemeral_seed": EPHEMERAL_SEED, "encapsulation": ct_s, "secret": ss_s, "th_0": th0,
            "prk_1": prk1, "k1": k1, "hello": hello, "encoded": m1, "th_1": th1, "chain": chain,
        },
        "m2": {
            "sid": SID, "n_G": N_G, "encapsulation": ct_e, "secret": ss_e, "prk_2": prk2, "k2": k2, "mac2": mac2,
            "welcome": welcome, "encoded": m2, "th_2": th2,
        },
        "m3": {"k3": k3, "signed": signed, "signature": signature, "encoded": m3, "th_3": th3},
        "m4": {"fin": fin, "encoded": m4, "th_4": th4},
        "frames": {
            "up_0": up, "up_1": up1, "down_0": down, "key_up_0": keys[0][0], "iv_up_0": keys[0][1], "encoded": frames,
            "other_suites": {
                str(suite): frame(suite, keys[0], (1, 0, 0, 1, UP), b"first") for suite in (1, 2)
            },
        },
        "refusal": cbor2.dumps({1: 1, 2: 5, 3: SID}), "ask": cbor2.dumps({1: 1, 2: 6}),
        "announcement": cbor2.dumps({1: 1, 2: 7, 3: body, 4: GATEWAY.sign_raw(ANNOUNCE + b"\0" + body)}),
    }  # fmt: skip


def _as_hex(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_hex(item) for key, item in value.items()}
    return [_as_hex(item) for item in value] if isinstance(value, list) else value.hex()


def _page_with(vectors: dict[str, Any]) -> str:
    def block(match: re.Match[str]) -> str:
        value: Any = vectors
        for name in match[1].split("."):
            value = value[int(name)] if isinstance(value, list) else value[name]
        lines = "\n".join(value[i : i + 64] for i in range(0, len(value), 64))
        return f"<!-- session.json: {match[1]} -->\n```\n{lines}\n```"

    return re.sub(r"<!-- session\.json: (\S+) -->\n```\n[^`]*```", block, PAGE.read_text())


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    if WRITE and not VECTORS.exists():
        VECTORS.write_text(
            json.dumps(_as_hex(build(STATIC.public.encapsulate()[0], EPHEMERAL.public.encapsulate()[0])))
        )
    content: dict[str, Any] = json.loads(VECTORS.read_text())
    if WRITE:
        content = _as_hex(build(*_encapsulations(content)))
        VECTORS.write_text(json.dumps(content, indent=1) + "\n")
        PAGE.write_text(_page_with(content))
    return content


def _encapsulations(vectors: dict[str, Any]) -> tuple[bytes, bytes]:
    return bytes.fromhex(vectors["m1"]["encapsulation"]), bytes.fromhex(vectors["m2"]["encapsulation"])


def _ends(vectors: dict[str, Any]) -> tuple[list[bytes], Session, Session]:
    """The four messages, and the sessions of device and gateway, by the program itself."""
    ct_s, ct_e = _encapsulations(vectors)

    def to_static(key: KemPublicKey) -> tuple[bytes, bytes]:
        assert key == STATIC.public
        return ct_s, STATIC.decapsulate(ct_s)

    def to_ephemeral(key: KemPublicKey) -> tuple[bytes, bytes]:
        assert key == EPHEMERAL.public
        return ct_e, EPHEMERAL.decapsulate(ct_e)

    hello = Hello(SOURCE, DEVICE.public.kid, BOOT)
    draws = Draws(nonce=N_D, seed=EPHEMERAL_SEED, encapsulate=to_static)
    device = DeviceHandshake(STATIC.public, DEVICE, hello, list(SUITES), draws)
    answer = Draws(nonce=N_G, sid=SID, encapsulate=to_ephemeral)
    gateway = GatewayHandshake(STATIC, device.hello, list(OFFERED), answer)
    welcome = gateway.welcome(Terms(EPOCH_FRAMES, EPOCH_S, SESSION_S, TIME, NOTE))
    proof = device.answer(welcome)
    confirmation, at_gateway = gateway.finish(proof, DEVICE.public)
    return [device.hello, welcome, proof, confirmation], device.finish(confirmation), at_gateway


def test_the_vectors_are_made_as_the_page_says(vectors: dict[str, Any]) -> None:
    assert vectors == _as_hex(build(*_encapsulations(vectors)))


def test_the_page_shows_the_vectors(vectors: dict[str, Any]) -> None:
    assert PAGE.read_text() == _page_with(vectors)
    assert PAGE.read_text().count("<!-- session.json: ") >= 12


def test_the_program_makes_the_messages_of_the_vectors(vectors: dict[str, Any]) -> None:
    made, _, _ = _ends(vectors)
    assert [message.hex() for message in made] == [vectors[name]["encoded"] for name in ("m1", "m2", "m3", "m4")]


def test_the_program_makes_and_opens_the_frames_of_the_vectors(vectors: dict[str, Any]) -> None:
    _, device, gateway = _ends(vectors)
    frames = [bytes.fromhex(encoded) for encoded in vectors["frames"]["encoded"]]
    for number, text in enumerate((b"first", b"second", b"third")):
        assert device.sealer.seal(FrameType.MESSAGE, UP, text, 0.0) == (number, frames[number])
        assert gateway.opener.open(UP, frames[number]).plaintext == text
    assert gateway.sealer.seal(FrameType.ACKNOWLEDGEMENT, DOWN, b"stored", 0.0) == (0, frames[3])
    assert device.opener.open(DOWN, frames[3]).plaintext == b"stored"


def test_the_messages_around_it_are_those_of_the_vectors(vectors: dict[str, Any]) -> None:
    assert messages.encode(messages.REFUSAL, {3: SID}).hex() == vectors["refusal"]
    assert messages.encode(messages.ASK, {}).hex() == vectors["ask"]
    static = StaticKey(ORIGIN, TIME, STATIC.public)
    assert static.announce(GATEWAY).hex() == vectors["announcement"]
    assert open_announcement(bytes.fromhex(vectors["announcement"]), GATEWAY.public, ORIGIN, 0) == static
