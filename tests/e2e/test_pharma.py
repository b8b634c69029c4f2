"""The story of a medicine, played as a user would: five companies in processes of their own."""

import json
from pathlib import Path

import pytest

from tests.e2e.programs import run


@pytest.mark.timeout(300)
def test_five_companies_from_raw_material_to_patient(tmp_path: Path) -> None:
    summary_file, data = tmp_path / "summary.json", tmp_path / "story"
    said = run("demo-pharma", "--once", "--json", summary_file, "--data", data, timeout=280).stdout
    summary = json.loads(summary_file.read_text())
    assert summary["companies"] == 5
    assert (summary["excursions"], summary["recomputed"], summary["duplicates"]) == (1, True, 1)
    assert (summary["labels"], summary["rejected"]) == (6, 1)
    assert (summary["recall"]["packs"], summary["recall"]["reach"]) == (summary["packs"], 100)
    assert summary["anchored"] == summary["logged"] > summary["captured"] > 40
    assert summary["transitions"]["pending"] == summary["transitions"]["waiting"] == 0
    assert any("is held since an excursion" in one for one in summary["refusals"])
    assert any("recalled" in one for one in summary["refusals"])
    assert "and a computation anew agrees" in said
    # What anybody can do afterwards with what lies on the disk, while no gateway runs.
    [excursion] = {json.loads((data / "told.json").read_text())["excursion"]}
    run("conditions", "recompute", excursion, "--data", data / "carrier" / "data")
    lot = "https://id.gs1.org/01/09520002000019/10/EX2611A"
    traced = json.loads(run("trace", lot, "--data", data / "maker" / "data", "--json").stdout)
    assert {link["source"].rpartition("/")[2] for link in traced["materials"]} == {"AA-0077", "LC-0312"}
    run("fsck", "--data", data / "pharmacy" / "data")
