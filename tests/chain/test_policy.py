"""Trust policies: the specification's example, every refusal, opaque octets, and both ways of writing."""

import itertools
import subprocess
import sys
from collections.abc import Iterable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import PolicyError
from chain.policy import MAX_POLICY_BYTES, Policy, parse_policy
from crypto.keys import Algorithm, PrivateKey
from crypto.note import NoteSigner, SignatureType, VerifierKey


def key(name: str, kind: SignatureType = SignatureType.ED25519_COSIGNATURE) -> VerifierKey:
    algorithm = Algorithm.ML_DSA_44 if kind is SignatureType.ML_DSA_44_COSIGNATURE else Algorithm.ED25519
    return NoteSigner(name, kind, PrivateKey.generate(algorithm)).vkey


LOG = key("log.example/a", SignatureType.ED25519)
LOG_PQ = key("log.example/a", SignatureType.ML_DSA_44_COSIGNATURE)
W = {name: key(f"witness.example/{name}") for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")}

EXAMPLE = f"""log {LOG}

witness X1 {W["X1"]}
witness X2 {W["X2"]}
witness X3 {W["X3"]}
group X-witnesses 2 X1 X2 X3

witness Y1 {W["Y1"]}
witness Y2 {W["Y2"]}
witness Y3 {W["Y3"]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def test_the_example_of_the_specification() -> None:
    policy = parse_policy(EXAMPLE)
    assert [line.key for line in policy.logs] == [LOG]
    assert policy.log_keys("log.example/a") == [LOG]
    assert policy.log_keys("log.example/b") == []
    assert policy.witness_keys() == list(W.values())
    names = list(W)
    for count in range(7):
        for chosen in combinations(names, count):
            expected = sum(name[0] == "X" for name in chosen) >= 2 and any(name[0] == "Y" for name in chosen)
            assert policy.satisfied_by(W[name] for name in chosen) is expected


def test_a_key_that_only_looks_like_a_witness_does_not_count() -> None:
    policy = parse_policy(f"witness X1 {W['X1']}\nquorum X1\n")
    assert policy.satisfied_by([W["X1"]])
    assert not policy.satisfied_by([key("witness.example/X1"), LOG])
    # The same public key under another name or signature type is another signer.
    assert not policy.satisfied_by([VerifierKey(W["X1"].name, SignatureType.ED25519, W["X1"].key)])


def test_quorum_none_and_thresholds() -> None:
    assert parse_policy("quorum none\n").satisfied_by([])
    two = f"witness a {W['X1']}\nwitness b {W['X2']}\n"
    for rule, needed in (("any", 1), ("all", 2), ("1", 1), ("2", 2)):
        policy = parse_policy(f"{two}group g {rule} a b\nquorum g\n")
        assert [policy.satisfied_by(list(W.values())[:n]) for n in range(3)] == [n >= needed for n in range(3)]


def test_whitespace_comments_urls_and_opaque_names() -> None:
    kelvin, ascii_k = "\u212a", "K"
    text = (
        f"  # comment\n\t \n \tlog\t{LOG} \t https://log.example \n"
        f"witness {kelvin} {W['X1']} https://w.example/\nwitness {ascii_k} {W['X2']}\nquorum {kelvin}\n"
        f"witness any {W['X3']}\n"
    )
    policy = parse_policy(text.encode() + b"# \xff\xfe not UTF-8\n")
    assert (policy.logs[0].url, policy.witnesses[0].url) == ("https://log.example", "https://w.example/")
    assert policy.satisfied_by([W["X1"]])
    assert not policy.satisfied_by([W["X2"]])
    raw = b"witness \xff\xfe " + str(W["X1"]).encode() + b"\nquorum \xff\xfe\n"
    opaque = parse_policy(raw)
    assert opaque.to_text().encode("utf-8", "surrogateescape") == raw
    assert parse_policy(opaque.to_text()) == opaque


LEDGER = f"ledger embedded {LOG}\nledger embedded {LOG_PQ}\n"


def test_ledgers_are_our_extension_and_plain_text_leaves_them_out() -> None:
    policy = parse_policy(EXAMPLE + LEDGER)
    assert policy.ledger_keys("log.example/a") == [LOG, LOG_PQ]
    assert parse_policy(policy.to_text()) == policy
    plain = policy.to_text(plain=True)
    assert "ledger" not in plain
    assert parse_policy(plain) == Policy(policy.logs, policy.witnesses, policy.groups, policy.quorum)


A, B = f"witness a {W['X1']}\n", f"witness b {W['X2']}\n"
BARE = VerifierKey(LOG.name, SignatureType.ED25519_COSIGNATURE, LOG.key)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "one quorum line"),
        (A, "one quorum line"),
        ("quorum none\nquorum none\n", "exactly one"),
        ("quorum none", "newline"),
        ("quorum none\r\n", "control character"),
        ("quorum\u00a0none\n", "unknown keyword"),
        ("quorum none\x7f\n", "control character"),
        ("quorum none\n\x00", "control character"),
        ("quorum\n", "expected 'quorum"),
        ("quorum none # comment\n", "expected 'quorum"),
        ("Quorum none\n", "unknown keyword"),
        ("quorum a\n" + A, "before"),
        ("quorum all\n", "before"),
        (f"log {LOG}\nlog {LOG} http://x\nquorum none\n", "already"),
        (f"log {LOG}\nlog {VerifierKey('other.example', LOG.type, LOG.key)}\nquorum none\n", "already"),
        (f"log {LOG} a b\nquorum none\n", "expected 'log"),
        ("log\nquorum none\n", "expected 'log"),
        (f"log {W['X1']}\nquorum none\n", "signature types"),
        (f"log {str(LOG)[:-4]}\nquorum none\n", "line 1"),
        ("log nonsense\nquorum none\n", "a vkey is"),
        (f"witness a {LOG}\nquorum a\n", "signature types"),
        ("witness a\t\nquorum none\n", "expected 'witness"),
        (f"witness none {W['X1']}\nquorum none\n", "taken"),
        (A + f"witness a {W['X2']}\nquorum a\n", "taken"),
        (A + f"witness b {W['X1']}\nquorum a\n", "already"),
        (A + f"witness b {VerifierKey('else', W['X1'].type, W['X1'].key)}\nquorum a\n", "already"),
        (A + "group a all a\nquorum a\n", "taken"),
        (A + "group none all a\nquorum none\n", "taken"),
        (A + "group g all\nquorum g\n", "expected 'group"),
        (A + "group g a\nquorum g\n", "expected 'group"),
        (A + "group g 0 a\nquorum g\n", "threshold"),
        (A + "group g 2 a\nquorum g\n", "threshold"),
        (A + "group g -1 a\nquorum g\n", "threshold"),
        (A + "group g 01 a\nquorum g\n", "threshold"),
        (A + "group g \u0661 a\nquorum g\n", "threshold"),
        (A + "group g some a\nquorum g\n", "threshold"),
        (A + "group g all a a\nquorum g\n", "already"),
        (A + "group g all a\ngroup h all a\nquorum h\n", "already"),
        (A + "group g all none\nquorum g\n", "before"),
        (A + "group g all g\nquorum g\n", "before"),
        (A + "group g any a b\n" + B + "quorum g\n", "before"),
        (f"ledger oracle {LOG}\nquorum none\n", "unknown kind of ledger"),
        (f"ledger fabric {LOG}\nquorum none\n", "expected 'ledger fabric"),
        (f"ledger fabric Medicines {'a' * 64}\nquorum none\n", "a channel has a name like"),
        (f"ledger fabric medicines {'A' * 64}\nquorum none\n", "a channel has a name like"),
        (f"ledger fabric medicines {'a' * 63}\nquorum none\n", "a channel has a name like"),
        (f"ledger fabric m {'a' * 64}\nledger fabric m {'a' * 64}\nquorum none\n", "stands once"),
        (f"ledger embedded {W['X1']}\nquorum none\n", "signature types"),
        (f"ledger embedded {LOG}\nledger embedded {LOG}\nquorum none\n", "already"),
        ("ledger embedded\nquorum none\n", "expected 'ledger"),
        ("#" * MAX_POLICY_BYTES + "\n", "at most"),
        (b"log \xff+00000000+AAAA\nquorum none\n", "UTF-8"),
    ],
    ids=itertools.count(),  # the texts hold fresh keys, and each run must name its cases alike
)
def test_refusals(text: str | bytes, reason: str) -> None:
    with pytest.raises(PolicyError, match=reason):
        parse_policy(text)


def test_the_message_names_the_line() -> None:
    with pytest.raises(PolicyError, match="policy line 2: "):
        parse_policy("# fine\nfine\nquorum none\n")


def many(kind: str, count: int) -> Iterable[str]:
    for number in range(count):
        if kind == "group":
            yield f"witness w{number} {key(f'w{number}')}\n" if number < 62 else ""
            yield f"group g{number} all {f'w{number}' if number < 62 else f'g{number - 62}'}\n"
        else:
            name = f"w{number}" if kind == "witness" else ""
            vkey = key(f"k{number}", SignatureType.ED25519_COSIGNATURE if name else SignatureType.ED25519)
            yield f"{kind} {'embedded' if kind == 'ledger' else name} {vkey}\n"


@pytest.mark.parametrize("kind", ["log", "witness", "group", "ledger"])
def test_limits(kind: str) -> None:
    assert parse_policy("".join(many(kind, 32)) + "quorum none\n")
    with pytest.raises(PolicyError, match="at most 62"):
        parse_policy("".join(many(kind, 63)) + "quorum none\n")


@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from([
    "log ", "witness ", "group ", "quorum ", "none", "a", "b ", "\n", "all ", "1 ", f"{LOG} ", f"{W['X1']} ", A, B,
]), max_size=30).map("".join)))  # fmt: skip
def test_any_input_is_read_or_refused_and_reads_back(data: bytes | str) -> None:
    try:
        policy = parse_policy(data)
    except PolicyError:
        return
    assert parse_policy(policy.to_text()) == policy
    policy.satisfied_by([W["X1"]])


def test_reading_a_policy_loads_nothing_heavy() -> None:
    heavy = ("pydantic", "fastapi", "httpx", "sqlite3", "asyncio")
    code = f"import sys, chain.policy; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
