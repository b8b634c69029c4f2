"""A disk that is full in the middle of an upload: nothing is left of the object, and what was kept is still there."""

import io
from hashlib import sha256
from pathlib import Path

import httpx

from crypto.envelope.objects import seal
from crypto.kem import KemPrivateKey, KemSuite
from tests.e2e.programs import Up, up, write_config
from tests.torture.scale import scaled
from tests.torture.world import mounted

TO = [KemPrivateKey.generate(KemSuite.X_WING).public]
MIB = 2**20
ROUNDS = scaled(1, 40)


def _sealed(size: int) -> bytes:
    target = io.BytesIO()
    seal(io.BytesIO(bytes(size)), target, TO)
    return target.getvalue()


def test_a_disk_that_fills_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    with (
        mounted("tmpfs", tmp_path / "data", "-t", "tmpfs", "-o", "size=48m"),
        up(write_config(tmp_path)) as gateway,
        httpx.Client(base_url=gateway.url, headers=_owner(gateway), timeout=60) as client,
    ):
        small = _sealed(MIB)
        kept = client.post("/v1/objects", content=small).json()
        for _ in range(ROUNDS):
            answer = client.post("/v1/objects", content=_sealed(60 * MIB))
            assert answer.status_code == 503, answer.text
            assert list((gateway.data / "objects" / "incoming").iterdir()) == []
            again = client.post("/v1/objects", content=_sealed(MIB // 8))
            assert again.status_code == 201, again.text
            got = client.get(f"/v1/objects/{kept['id']}").content
            assert sha256(got).hexdigest() == kept["digest"] == sha256(small).hexdigest()
        assert client.get("/readyz").status_code == 200


def _owner(gateway: Up) -> dict[str, str]:
    return {"Authorization": f"Bearer {gateway.token}"}
