"""The demonstration's data sources: they are real, repeatable, and acceptable to the kinds they feed."""

import json
import subprocess
import sys
from hashlib import sha256
from io import BytesIO
from itertools import pairwise

import pytest

from chain.record import RecordFlag
from gateway.demo.label import photograph
from gateway.demo.packing import PackingLine
from gateway.demo.temperatures import temperatures
from gateway.preprocess import kinds
from gateway.preprocess.kind import Context, Limits
from gateway.station.code import library_digest
from gateway.station.inspection import Inspector

NOW_US = 1_795_000_000_000_000
CONTEXT = Context(NOW_US, NOW_US)


def test_a_year_of_temperatures() -> None:
    got = list(temperatures())
    times = [time_us for time_us, _ in got]
    assert len(got) == 8_759
    assert times == sorted(set(times))
    assert times[0] == 1_262_332_800_000_000  # 2010-01-01T08:00:00Z, midnight in San Francisco
    gaps = [b - a for a, b in pairwise(times) if b - a != 3_600_000_000]
    assert gaps == [7_200_000_000]  # the one hour that the source lacks


def test_every_temperature_is_a_plausible_reading() -> None:
    reading = kinds.by_name("reading")
    limits = (("", Limits(2.0, 20.0, "Cel")),)
    flags = set()
    for time_us, payload in temperatures(unit="FAH"):
        prepared = reading.prepare(payload, Context(time_us, time_us, limits))
        assert prepared.sensed_us == time_us
        flags.add(prepared.flags)
    assert flags == {RecordFlag.NONE, RecordFlag.OUT_OF_RANGE | RecordFlag.URGENT}


def test_the_first_temperature_in_celsius() -> None:
    _, payload = next(temperatures())
    rows = dict(kinds.by_name("reading").prepare(payload, CONTEXT).fields)["reading"]
    assert isinstance(rows, list)
    assert isinstance(rows[0], list)
    assert rows[0][1:3] == [8.777777778, "Cel"]  # 47.8 degrees Fahrenheit in the file


def test_temperatures_do_not_load_pandas() -> None:
    code = (
        "import sys; from gateway.demo.temperatures import temperatures; "
        "next(temperatures()); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_what_was_printed_is_what_is_read_from_the_image() -> None:
    line = PackingLine(seed=11, defect_rate=0.0)
    for number in range(12):
        inspection = line.inspect(number, NOW_US)
        assert inspection.production is not None
        fields = dict(kinds.by_name("production").prepare(inspection.production, CONTEXT).fields)
        pack = inspection.printed
        assert (fields["gtin"], fields["lot"], fields["serial"]) == (pack.gtin, pack.lot, pack.serial)
        assert fields["expiry"] == pack.expiry.isoformat()
        assert fields["image_digest"] == sha256(inspection.image).hexdigest()


def test_the_inference_binds_reader_image_and_pixels() -> None:
    from PIL import Image

    inspection = PackingLine(seed=11, defect_rate=0.0).inspect(1, NOW_US)
    fields = dict(kinds.by_name("inference").prepare(inspection.inference, CONTEXT).fields)
    pixels = Image.open(BytesIO(inspection.image)).convert("L").tobytes()
    assert fields["model_digest"] == library_digest()
    assert fields["input_digest"] == sha256(inspection.image).hexdigest()
    decoded, read = fields["preprocessing"]
    assert decoded[:2] == ["decode", sha256(pixels).hexdigest()]
    assert read[0] == "read-code"
    assert fields["decision"] == "accept"
    assert fields["score"] is None
    assert fields["latency_ms"]


def test_a_print_defect_is_reported_as_unreadable() -> None:
    inspection = PackingLine(seed=11, defect_rate=1.0).inspect(1, NOW_US)
    fields = dict(kinds.by_name("inference").prepare(inspection.inference, CONTEXT).fields)
    assert inspection.production is None
    assert (fields["decision"], fields["attribution"]) == ("reject", [["no-code", -1.0]])
    assert fields["label"] is None
    assert fields["input_digest"] == sha256(inspection.image).hexdigest()


def test_a_code_that_lacks_an_element_is_incomplete() -> None:
    import zxingcpp
    from PIL import Image

    code = zxingcpp.create_barcode("(01)09506000134352(10)AB", zxingcpp.BarcodeFormat.DataMatrix, gs1=True)
    out = BytesIO()
    Image.fromarray(code.to_image(scale=6)).save(out, "JPEG")
    seen = Inspector(text=None).inspect(out.getvalue(), NOW_US)
    assert [reason.name for reason in seen.verdict.reasons] == ["incomplete"]


def test_the_line_repeats_from_its_seed() -> None:
    one, other = PackingLine(seed=3), PackingLine(seed=4)
    assert one.pack(5) == PackingLine(seed=3).pack(5) != other.pack(5)
    assert photograph(one.pack(5), "s", True) == photograph(one.pack(5), "s", True)
    assert photograph(one.pack(5), "s", True) != photograph(one.pack(5), "t", True)
    assert len({one.pack(number).serial for number in range(500)}) == 500


@pytest.mark.parametrize("seed", [1, 2])
def test_payloads_are_compact_json(seed: int) -> None:
    inspection = PackingLine(seed=seed, defect_rate=0.0).inspect(0, NOW_US)
    for payload in (inspection.production, inspection.inference):
        assert payload is not None
        assert json.dumps(json.loads(payload), separators=(",", ":")).encode() == payload
        assert len(payload) < 1_500
