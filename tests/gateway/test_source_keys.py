"""What a thief of a device's key does with the change of keys, and what a false refusal of one does."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from chain.fsck import fsck
from chain.verify import Outcome, verify_receipt
from chaincode.errors import Code, ContractError
from chaincode.identity_records import Identity, source_handle
from crypto.errors import FormatError, SealtrailError
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import MAX_TREE_SIZE
from gateway.device import rotation
from gateway.device.errors import EnrolmentError
from gateway.device.identity import load_identity
from gateway.enrolment import MAX_AHEAD
from gateway.ingest.inbound import Verdict
from tests.gateway.sessions.rig import enrol
from tests.support.site import Site, receipts
from tests.support.source import Source, message


def _sealed(site: Site, source: Source) -> int:
    place = site.gateway.status().log_size
    assert site.send(source, message(source.batch(1), source.seal())) is Verdict.STORED
    return place


def _new() -> PrivateKey:
    return PrivateKey.generate(Algorithm.ED25519)


def test_a_stolen_key_does_not_outlive_its_revocation(tmp_path: Path) -> None:
    """The thief's next key counts from far ahead on, so that the stolen one would count until then."""
    with Site(tmp_path / "site") as site:
        thing = site.enrol("thing")
        _sealed(site, thing)
        size = site.gateway.status().log_size
        for index in (size + MAX_AHEAD + 1, MAX_TREE_SIZE):
            with pytest.raises(FormatError, match=f"from entry {size + MAX_AHEAD} on at the latest"):
                site.rotate(thing, _new(), index)
        site.rotate(thing, _new(), size + MAX_AHEAD)
        site.run(site.gateway.revoke("thing", "stolen"))
        handle = source_handle(site.folder.origin, "thing").encode()
        identity = Identity.decode(site.run(site.gateway.ledger.evaluate("identities.get", handle)))
        assert not any(key.valid_at(index) for key in identity.keys for index in (size, size + MAX_AHEAD))
        assert site.send(thing, message(thing.batch(1), thing.seal())) is not Verdict.STORED


def test_a_revoked_key_does_not_come_back_while_it_asks_for_a_change(tmp_path: Path) -> None:
    """The request is refused at once, so nothing gets in while the contract would think about it."""
    with Site(tmp_path / "site") as site:
        thing = site.enrol("thing")
        _sealed(site, thing)
        site.run(site.gateway.revoke("thing", "stolen"))
        size, said = site.gateway.status().log_size, list[Verdict]()

        async def meanwhile() -> None:
            said.extend(await site._send_all([site.inbound(thing, message(thing.batch(1), thing.seal()))]))

        site.gateway.registrar._settled = meanwhile
        with pytest.raises(ContractError) as refused:
            site.rotate(thing, _new(), size)
        assert refused.value.code is Code.KEY_CLOSED
        assert Verdict.STORED not in said
        assert site.gateway.status().log_size == size


def test_doubt_reaches_the_keys_before_the_newest(tmp_path: Path) -> None:
    """Who rotates after the theft, thief or owner, does not make what the stolen key signed simply valid."""
    with Site(tmp_path / "site") as site:
        thing = site.enrol("thing")
        places = [_sealed(site, thing) for _ in range(2)]
        new = _new()
        site.rotate(thing, new, site.gateway.status().log_size)
        thing.key = new
        places.append(_sealed(site, thing))
        site.run(site.gateway.revoke("thing", "stolen on Monday", places[1]))
        site.drain()
        with receipts(site.folder) as builder:
            found = [verify_receipt(builder.build(place), site.policy).outcome for place in places]
        assert found == [Outcome.VALID, Outcome.DOUBTFUL, Outcome.DOUBTFUL]
        fsck(site.folder)


def test_a_change_that_something_on_the_way_refused_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway took it, and a proxy answers 404: the new key is asked for again, not thrown away."""
    with Site(tmp_path / "site") as site:
        folder, other, codes = enrol(site, tmp_path / "gadget", "gadget"), site.enrol("other"), [404]

        def ask(url: str, path: str, body: dict[str, Any] | None, folder: Path) -> tuple[int, bytes]:
            if body is None:
                status = site.gateway.status()
                return 200, json.dumps({"origin": status.origin, "log_size": status.log_size}).encode()
            key, old, new = (base64.b64decode(body[k]) for k in ("public_key", "old_signature", "new_signature"))
            try:
                site.run(site.gateway.rotate("gadget", body["algorithm"], key, body["from_index"], old, new))
            except SealtrailError:
                return 422, b""
            return codes.pop() if codes else 204, b""

        monkeypatch.setattr(rotation, "ask", ask)
        with pytest.raises(EnrolmentError, match="refused \\(404\\)"):
            rotation.rotate("http://gateway", folder, Algorithm.ML_DSA_44)
        _sealed(site, other)  # the log goes on
        new = rotation.rotate("http://gateway", folder, Algorithm.ML_DSA_44)
        assert load_identity(folder).key.public == new
        handle = source_handle(site.folder.origin, "gadget").encode()
        assert Identity.decode(site.run(site.gateway.ledger.evaluate("identities.get", handle))).current_key == new
