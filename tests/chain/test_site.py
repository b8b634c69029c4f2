"""A site's folder: it keeps its name, its key is never silently replaced, and one process writes in it."""

from pathlib import Path

import pytest

from chain.errors import StoreError
from chain.site import Folder, Lock, SiteReader, SiteWriter

ORIGIN = "plant.example/line-1"


def test_a_folder_keeps_its_name(tmp_path: Path) -> None:
    Folder.create(tmp_path, ORIGIN)
    assert Folder.existing(tmp_path).origin == ORIGIN
    with pytest.raises(StoreError, match="belongs to the log"):
        Folder.create(tmp_path, "plant.example/line-2")


@pytest.mark.parametrize("origin", ["", "Plant", "a b", "a+b", "a\nb", "-a", "ä"])
def test_names_that_no_log_can_have(tmp_path: Path, origin: str) -> None:
    with pytest.raises(StoreError, match="a log origin is like"):
        Folder.create(tmp_path, origin)
    with pytest.raises(StoreError, match="not a Sealtrail data directory"):
        Folder.existing(tmp_path)


def test_a_lost_site_key_is_not_made_anew(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path, ORIGIN)
    SiteWriter.open(folder).db.close()
    (folder.keys / "site.key").unlink()
    for opening in (lambda: Folder.create(tmp_path, ORIGIN), lambda: SiteReader.open(folder)):
        with pytest.raises(StoreError, match=r"site\.key is gone"):
            opening()
    assert not (folder.keys / "site.key").exists()


def test_one_process_writes(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path, ORIGIN)
    with Lock(folder.root), pytest.raises(StoreError, match="another gateway runs"):
        Lock(folder.root)
    Lock(folder.root).release()
