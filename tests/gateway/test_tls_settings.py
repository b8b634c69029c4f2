"""TLS in the configuration: what does not fit together, and what cannot be used, stops the start with the reason."""

from pathlib import Path

import pytest

from chain.errors import StoreError
from crypto.tls import context
from gateway.config import ConfigError, FrontDoorConfig, SideDoorConfig, load_config
from gateway.door_options import broker_options, tls_server
from tests.support.certificates import Authority


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ('[api]\ntls_key = "k"', "belong together"),
        ('[front_door]\ntls_certificate = "c"', "belong together"),
        ("[front_door]\nrequire_post_quantum = true", "needs tls_certificate"),
        ("[api]\nrequire_post_quantum = true", "needs tls_certificate"),
        ('[front_door]\ntls_client_ca = "c"', "needs tls_certificate"),
        ('[side_door]\nhost = "h"\nrequire_post_quantum = true', "needs tls_ca"),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path: Path, section: str, says: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(f'origin = "plant.example/line-1"\ndata = "data"\n{section}\n')
    with pytest.raises(ConfigError, match=says):
        load_config(file)


def _front_door(authority: Authority, *, required: bool) -> FrontDoorConfig:
    certificate, key = authority.issue("gateway")
    return FrontDoorConfig(tls_certificate=certificate, tls_key=key, require_post_quantum=required)


def test_an_openssl_without_the_group_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL itself refuses: it is asked for a group that none has."""
    authority = Authority(tmp_path)
    monkeypatch.setattr(context, "POST_QUANTUM", ("NoSuchGroup",))
    with pytest.raises(StoreError, match=r"TLS of \[front_door\]: expected an OpenSSL with one of NoSuchGroup"):
        tls_server(_front_door(authority, required=True), "front_door")
    assert tls_server(_front_door(authority, required=False), "front_door") is not None


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    settings = FrontDoorConfig(tls_certificate=tmp_path / "a.pem", tls_key=tmp_path / "b.pem")  # type: ignore[call-arg]
    with pytest.raises(StoreError, match=r"TLS of \[front_door\]: .*a.pem"):
        tls_server(settings, "front_door")
    broker = SideDoorConfig(host="broker", tls_ca=tmp_path / "ca.pem")  # type: ignore[call-arg]
    with pytest.raises(StoreError, match=r"TLS of \[side_door\]: .*ca.pem"):
        broker_options(broker)
