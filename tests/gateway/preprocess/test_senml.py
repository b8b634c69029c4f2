"""SenML against the examples of RFC 8428 section 5.1, and every rule of sections 4.1 to 4.6 that can be broken."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.record import RecordFlag
from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.kind import Context, Limits, Prepared
from gateway.preprocess.reading import Reading

NOW_S = 1_700_000_000
CONTEXT = Context(sensed_us=NOW_S * 1_000_000, received_us=NOW_S * 1_000_000)
DEVICE = "urn:dev:ow:10e2073a01080063"


def prepare(payload: Any, context: Context = CONTEXT) -> Prepared:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Reading().prepare(raw, context)


def rows(payload: Any, context: Context = CONTEXT) -> Any:
    ((field, value),) = prepare(payload, context).fields
    assert field == "reading"
    return value


def resolved(payload: Any) -> list[dict[str, Any]]:
    """Rows in the RFC's own words, seconds for microseconds."""
    out = []
    for name, _, _, time_us, value, unit in rows(payload):
        out.append({"n": name, "t": time_us / 1e6, "v": value} | ({"u": unit} if unit else {}))
    return out


def test_single_datapoint_of_section_5_1_1() -> None:
    assert rows(b'[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]') == [
        [DEVICE, 23.1, "Cel", CONTEXT.sensed_us, 23.1, "Cel"]
    ]


def test_multiple_datapoints_of_section_5_1_2() -> None:
    payload = b"""[
     {"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},
     {"n":"current","u":"A","v":1.2}]"""
    assert resolved(payload) == [
        {"n": DEVICE + ":voltage", "u": "V", "t": NOW_S, "v": 120.1},
        {"n": DEVICE + ":current", "u": "A", "t": NOW_S, "v": 1.2},
    ]


def test_relative_to_base_time_of_section_5_1_2() -> None:
    payload = b"""[
     {"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
     {"n":"current","t":-5,"v":1.2}, {"n":"current","t":-4,"v":1.3}, {"n":"current","t":-3,"v":1.4},
     {"n":"current","t":-2,"v":1.5}, {"n":"current","t":-1,"v":1.6}, {"n":"current","v":1.7}]"""
    got = resolved(payload)
    currents = [(r["t"], r["v"], r["u"]) for r in got if r["n"].endswith(":current")]
    assert currents == [(1276020071.001 + i, v, "A") for i, v in enumerate((1.2, 1.3, 1.4, 1.5, 1.6, 1.7))]
    assert {"n": "urn:dev:ow:10e2073a0108006:voltage", "u": "V", "t": 1276020076.001, "v": 120.1} in got
    times = [r["t"] for r in got]
    assert times == sorted(times)  # section 4.6: resolved records are in chronological order


def test_multiple_measurements_and_their_resolved_form_of_sections_5_1_3_and_5_1_4() -> None:
    payload = b"""[
     {"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},
     {"u":"lon","v":24.30621}, {"u":"lat","v":60.07965}, {"t":60,"v":20.3},
     {"u":"lon","t":60,"v":24.30622}, {"u":"lat","t":60,"v":60.07965}, {"t":120,"v":20.7},
     {"u":"lon","t":120,"v":24.30623}, {"u":"lat","t":120,"v":60.07966}, {"u":"%EL","t":150,"v":98},
     {"t":180,"v":21.2}, {"u":"lon","t":180,"v":24.30628}, {"u":"lat","t":180,"v":60.07967}]"""
    expected = [
        ("%RH", 1320067464, 20), ("lon", 1320067464, 24.30621), ("lat", 1320067464, 60.07965),
        ("%RH", 1320067524, 20.3), ("lon", 1320067524, 24.30622), ("lat", 1320067524, 60.07965),
        ("%RH", 1320067584, 20.7), ("lon", 1320067584, 24.30623), ("lat", 1320067584, 60.07966),
        ("%EL", 1320067614, 98),
        ("%RH", 1320067644, 21.2), ("lon", 1320067644, 24.30628), ("lat", 1320067644, 60.07967),
    ]  # fmt: skip
    assert resolved(payload) == [{"n": DEVICE, "u": u, "t": t, "v": v} for u, t, v in expected]
    assert prepare(payload).flags == RecordFlag.NONE


def test_multiple_data_types_of_section_5_1_5() -> None:
    payload = b"""[
     {"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},
     {"n":"label","vs":"Machine Room"}, {"n":"open","vb":false}, {"n":"nfv-reader","vd":"aGkgCg"}]"""
    assert [row[4] for row in rows(payload)] == [23.1, "Machine Room", False, b"hi \n"]


def test_collection_of_resources_of_section_5_1_6() -> None:
    payload = b"""[
     {"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},
     {"n":"humidity","u":"%RH","v":30},
     {"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3}, {"n":"humidity","u":"%RH","v":67}]"""
    assert [(r["n"], r["v"], r["t"]) for r in resolved(payload)] == [
        ("2001:db8::2/temperature", 25.2, 1320078429), ("2001:db8::2/humidity", 30, 1320078429),
        ("2001:db8::1/temperature", 12.3, 1320078429), ("2001:db8::1/humidity", 67, 1320078429),
    ]  # fmt: skip


def test_setting_an_actuator_of_section_5_1_7_begins_with_a_record_of_base_fields_only() -> None:
    payload = b"""[{"bn":"urn:dev:ow:10e2073a01080063:"},
     {"n":"temp","u":"Cel","v":23.1}, {"n":"heat","u":"/","v":1}, {"n":"fan","u":"/","v":0}]"""
    assert [(r["n"], r["v"]) for r in resolved(payload)] == [
        (DEVICE + ":temp", 23.1), (DEVICE + ":heat", 1), (DEVICE + ":fan", 0),
    ]  # fmt: skip


def test_a_lone_object_is_a_pack_of_one() -> None:
    lone = prepare({"n": "temp", "v": 21.5, "u": "Cel"})
    assert lone == prepare([{"n": "temp", "v": 21.5, "u": "Cel"}])
    assert lone.index == (("series", "temp"),)


@pytest.mark.parametrize(
    ("t", "expected_us"),
    [
        (0, NOW_S * 1_000_000),
        (-5.25, NOW_S * 1_000_000 - 5_250_000),
        (2**28 - 1, (NOW_S + 2**28 - 1) * 1_000_000),  # still relative
        (2**28, 2**28 * 1_000_000),  # 1978-07-04T21:24:16Z, the first absolute time
        (1276020076.001, 1276020076001000),
    ],
)
def test_times_below_2_to_the_28_are_relative(t: float, expected_us: int) -> None:
    prepared = prepare([{"n": "a", "v": 1, "t": t}])
    assert prepared.sensed_us == expected_us
    assert prepared.fields[0][1][0][3] == expected_us  # type: ignore[index]


def test_base_value_and_base_sum_are_added() -> None:
    got = rows([{"bn": "a", "bv": 20, "bs": 100, "v": 0.1, "s": 5}, {"v": 0.2}, {"s": 7}])
    assert [(row[4], row[6]) for row in got] == [(20.1, 105.0), (20.2, 100.0), (None, 107.0)]


def test_update_time_is_kept() -> None:
    assert rows([{"n": "a", "v": 1, "ut": 30}])[0][6:] == [None, 30.0]


def test_sensed_time_is_the_newest_of_a_pack() -> None:
    assert prepare([{"n": "a", "bt": 1.7e9, "v": 1}, {"n": "a", "t": -9, "v": 1}]).sensed_us == 1_700_000_000_000_000


def test_unknown_fields_are_ignored_unless_they_must_be_understood() -> None:
    assert rows([{"n": "a", "v": 1, "l": {"href": ["x"]}}]) == rows([{"n": "a", "v": 1}])
    with pytest.raises(PayloadRejected, match="must be understood"):
        prepare([{"n": "a", "v": 1, "x_": 1}])


@pytest.mark.parametrize("version", [1, 5, 10, 26])
def test_understood_versions(version: int) -> None:
    assert rows([{"n": "a", "v": 1, "bver": version}])


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "no bytes"),
        (b"[]", "length >= 1"),
        (b"{}", "not a SenML name"),
        (b"21.5", "Expected `object | array`"),
        (b'[{"bn":"a"}]', "base fields only"),
        (b'[{"n":"a"}]', "exactly one of"),
        (b'[{"n":"a","v":1,"vs":"x"}]', "exactly one of"),
        (b'[{"n":"a","vs":"x","vb":true}]', "exactly one of"),
        (b'[{"v":1}]', "not a SenML name"),
        (b'[{"n":"-a","v":1}]', "not a SenML name"),
        (b'[{"n":"a b","v":1}]', "not a SenML name"),
        (b'[{"n":"a\\n","v":1}]', "not a SenML name"),
        (b'[{"bn":"' + b"a" * 200 + b'","n":"' + b"a" * 200 + b'","v":1}]', "not a SenML name"),
        (b'[{"n":"a","v":1,"v":2}]', "twice"),
        (b'[{"n":"a","v":1,"\\u0076":2}]', "twice"),
        (b'[{"n":"a","v":1,"x":{"y":1,"y":2}}]', "twice"),
        (b'[{"n":"a","v":NaN}]', "malformed"),
        (b'[{"n":"a","v":1,"x":NaN}]', "malformed"),
        (b'[{"n":"a","v":-Infinity}]', "invalid"),
        (b'[{"n":"a","v":1e999}]', "out of range"),
        (b'[{"n":"a","v":null}]', "Expected `float`"),
        (b'[{"n":"a","v":"1"}]', "Expected `float`"),
        (b'[{"n":"a","v":true}]', "Expected `float`"),
        (b'[{"n":"a","v":1,"bver":11}]', "version 11 is not understood"),
        (b'[{"n":"a","v":1},{"n":"a","v":1,"bver":5}]', "must have one version"),
        (b'[{"n":"a","v":1,"t":1e15}]', "outside of the years"),
        (b'[{"n":"a","v":1,"t":-1e10}]', "before 1970"),
        (b'[{"n":"a","v":1e308,"bv":1e308}]', "beyond the range"),
        (b'[{"n":"a","v":1e308,"u":"kW"}]', "beyond the range"),
        (b'[{"n":"a","vd":"a+b/"}]', "regex"),
        (b'[{"n":"a","vd":"a"}]', "base64url"),
        (b'[{"n":"a","v":1,"x":"\xff"}]', "(?i)utf-8"),
        (b'[{"n":"\xff","v":1}]', "(?i)utf-8"),
        (b"\xef\xbb\xbf" + b'[{"n":"a","v":1}]', "malformed"),
        (b'[{"n":"a","v":1}] x', "trailing"),
        (b'[{"n":"a","v":1,"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}]", "nested deeper"),
        (b'[{"n":"a","v":1,"x":' + b"[" * 7 + b"]" * 7 + b"}]", "nested deeper"),
        (b"[" + b'{"n":"a","v":1},' * 256 + b'{"n":"a","v":1}]', "length <= 256"),
        (b" " * 60_001, "at most 60000 bytes"),
    ],
)
def test_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(PayloadRejected, match=reason):
        prepare(payload)


def test_bounds_are_inclusive() -> None:
    assert len(rows(b"[" + b'{"n":"a","v":1},' * 255 + b'{"n":"a","v":1}]')) == 256
    assert rows(b'[{"n":"a","v":1,"x":' + b"[" * 6 + b"]" * 6 + b"}]")  # depth 8
    record = b'{"n":"a","v":1}'
    assert rows(record + b" " * (60_000 - len(record)))


def test_brackets_and_quotation_marks_inside_texts_are_no_nesting() -> None:
    text = '[[[[[[[[[["\\[[[[{{{{{{'
    assert rows([{"n": "a", "vs": text}])[0][4] == text


LABELS = st.sampled_from(["n", "v", "u", "t", "x", "y", "q"])


@given(st.lists(LABELS, max_size=7), st.booleans())
def test_a_label_given_twice_is_refused_and_nothing_else(labels: list[str], escaped: bool) -> None:
    """The proof by counting quotation marks must agree with looking at the labels one by one."""
    values = {"n": '"a"', "v": "1", "u": r'"\"Cel"' if escaped else '"Cel"', "t": "0", "x": '"n"', "y": "{}", "q": "[]"}
    labels = ["n", "v", *labels]
    payload = ("[{" + ",".join(f'"{label}":{values[label]}' for label in labels) + "}]").encode()
    if len(set(labels)) == len(labels):
        assert len(rows(payload)) == 1
    else:
        with pytest.raises(PayloadRejected, match="twice"):
            prepare(payload)


def test_fahrenheit_is_normalised_and_kept_as_sent() -> None:
    assert rows([{"n": "a", "v": 47.8, "u": "[degF]"}])[0][1:] == [
        8.777777778,
        "Cel",
        CONTEXT.sensed_us,
        47.8,
        "[degF]",
    ]


@pytest.mark.parametrize(
    ("record", "suspect"),
    [
        ({"v": -273.15, "u": "Cel"}, False),
        ({"v": -273.16, "u": "Cel"}, True),
        ({"v": -460, "u": "FAH"}, True),
        ({"v": -0.1, "u": "K"}, True),
        ({"v": 100, "u": "%RH"}, False),
        ({"v": 100.1, "u": "P1"}, True),
        ({"v": 91, "u": "lat"}, True),
        ({"v": 1, "u": "furlong"}, True),  # a unit that nobody can read
        ({"v": 1}, False),  # no unit at all is allowed
        ({"vs": "x", "u": "furlong"}, False),
        ({"v": 1, "t": 3601}, True),  # measured more than an hour after it was received
        ({"v": 1, "t": 3599}, False),
    ],
)
def test_suspect_readings_are_flagged_and_kept(record: dict[str, Any], suspect: bool) -> None:
    prepared = prepare([{"n": "a", **record}])
    assert prepared.flags == (RecordFlag.SUSPECT if suspect else RecordFlag.NONE)
    assert len(prepared.fields[0][1]) == 1  # type: ignore[arg-type]


def test_an_unknown_unit_leaves_the_value_alone() -> None:
    assert rows([{"n": "a", "v": 3.25, "u": "furlong"}])[0][1:3] == [3.25, "furlong"]


EXCURSION = RecordFlag.OUT_OF_RANGE | RecordFlag.URGENT


@pytest.mark.parametrize(
    ("record", "flags"),
    [
        ({"n": "fridge", "v": 2, "u": "Cel"}, RecordFlag.NONE),
        ({"n": "fridge", "v": 8, "u": "Cel"}, RecordFlag.NONE),
        ({"n": "fridge", "v": 8.01, "u": "Cel"}, EXCURSION),
        ({"n": "fridge", "v": 1.99, "u": "Cel"}, EXCURSION),
        ({"n": "fridge", "v": 40, "u": "[degF]"}, RecordFlag.NONE),
        ({"n": "fridge", "v": 50, "u": "[degF]"}, EXCURSION),
        ({"n": "freezer", "v": -20, "u": "Cel"}, RecordFlag.NONE),  # its own entry stands before the general one
        ({"n": "freezer", "v": -10, "u": "Cel"}, EXCURSION),
        ({"n": "fridge", "v": 60, "u": "%RH"}, RecordFlag.NONE),  # limits of another unit do not apply
        ({"n": "fridge", "v": -300, "u": "Cel"}, EXCURSION | RecordFlag.SUSPECT),
    ],
)
def test_excursions(record: dict[str, Any], flags: RecordFlag) -> None:
    limits = (("freezer", Limits(None, -15.0, "Cel")), ("", Limits(2.0, 8.0, "Cel")))
    context = Context(CONTEXT.sensed_us, CONTEXT.received_us, limits)
    assert prepare([record], context).flags == flags


def test_one_excursion_flags_the_pack() -> None:
    context = Context(CONTEXT.sensed_us, CONTEXT.received_us, (("", Limits(2.0, 8.0, "Cel")),))
    prepared = prepare([{"bn": "a", "bu": "Cel", "v": 5}, {"n": ":b", "v": 9}, {"v": 5}], context)
    assert prepared.flags == EXCURSION
    assert prepared.index == (("series", "a"), ("series", "a:b"))
