"""A key as JSON: comes back as it was, and is refused with a sentence that quotes nothing."""

import json
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from keyturn._algorithms import to_base64url
from keyturn._key_json import KeyText, files_of, read_ring, to_jwk
from keyturn._weakness import KNOWN_KEYS
from keyturn.errors import ConfigurationError
from keyturn.keyrings.static import StaticKeys, testing_keys
from keyturn.keys import KeyRing, new_ring, remove, rotate_access, rotate_refresh
from keyturn.testing.entropy import CountingEntropy

T0 = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
ENTROPY = CountingEntropy("json")
RING = new_ring(now=T0, entropy=ENTROPY)
ACCESS = to_jwk(RING.signing(T0))
REFRESH = to_jwk(RING.sealing(T0))
SECRETS = (ACCESS["d"], REFRESH["k"], RING.sealing(T0).secret.hex())


def fault_of(document: object) -> str:
    given_text = KeyText(json.dumps(document).encode())
    reading = read_ring({"the key": given_text})
    assert reading.ring is None
    return "\n".join(reading.faults)


def without(jwk: dict, *members: str) -> dict:
    return {name: value for name, value in jwk.items() if name not in members}


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256"])
def test_a_ring_comes_back_from_its_files_as_it_was(algorithm: str):
    ring = new_ring(now=T0, entropy=ENTROPY, algorithm=algorithm)
    ring = rotate_refresh(rotate_access(ring, now=T0, entropy=ENTROPY), now=T0, entropy=ENTROPY)
    ring = remove(ring, "0", now=T0, entropy=ENTROPY)
    again = read_ring(files_of(ring)).ring
    assert again == ring
    assert again.spent == ring.spent
    assert again.sealing(T0).secret == ring.sealing(T0).secret
    assert again.signing(T0).verify(b"data", ring.signing(T0).sign(b"data"))


def test_a_removed_refresh_key_leaves_its_number_and_no_secret():
    ring = remove(RING, "0", now=T0, entropy=ENTROPY)
    assert set(json.loads(files_of(ring)["refresh-0.json"])) == {"kid", "spent_until"}


def test_a_jwk_from_elsewhere_needs_neither_name_nor_times():
    ring = StaticKeys.from_mapping({"keys": [without(ACCESS, "kid", "alg", "use", "created_at", "signs_from")]}).ring
    assert ring.signing(T0).id == RING.signing(T0).id
    assert ring.signing(T0).signs_from == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_time_in_another_zone_is_the_same_instant():
    jwk = {**ACCESS, "signs_from": "2026-03-01T14:00:00+02:00"}
    assert StaticKeys.from_mapping({"keys": [jwk]}).ring.keys[0].signs_from == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("time", ["2026-03-01T12:00:00", "yesterday", "", 5, None, "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize("member", ["created_at", "signs_from"])
def test_a_time_that_is_none_or_has_no_zone_is_refused(member: str, time: object):
    assert f'"{member}" is no time' in fault_of({**ACCESS, member: time})


@pytest.mark.ids("TOK-16")
@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": None},
        {"key_ops": ["encrypt"]},
        {"key_ops": ["sign", "wrapKey"]},
        {"key_ops": []},
        {"key_ops": "sign"},
        {"key_ops": [["sign"]]},
    ],
)
def test_use_and_key_ops_are_believed(members: dict):
    assert "not meant for signing" in fault_of({**ACCESS, **members})
    assert read_ring({"the key": {**ACCESS, "key_ops": ["sign", "verify"]}}).ring


@pytest.mark.ids("TOK-16", "KEY-07")
@pytest.mark.parametrize(
    "members",
    [{"alg": "HS256"}, {"alg": "ES256"}, {"alg": None}, {"use": "sig"}, {"key_ops": ["sign"]}, {"key_ops": ["verify"]}],
)
def test_a_secret_that_is_meant_for_something_else_seals_nothing(members: dict):
    assert "not meant for refresh tokens" in fault_of({**REFRESH, **members})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kty": "RSA"}, '"kty" and "alg"'),
        ({"kty": ["EC"]}, '"kty" and "alg"'),
        ({"alg": "EdDSA"}, '"kty" and "alg"'),
        ({"kid": "mine"}, "thumbprint"),
        ({"x5c": []}, "a member that keys do not have"),
        ({"crv": "P-521"}, "curve"),
        ({"x": "AA"}, '"x"'),
        ({"d": 5}, '"d"'),
        ({"y": ACCESS["x"]}, "numbers are no key"),
        ({"spent_until": "2026-01-01T00:00:00Z"}, "record of a removed key"),
    ],
)
def test_a_faulty_access_key_is_refused_with_the_reason(changed: dict, said: str):
    assert said in fault_of({**ACCESS, **changed})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"k": "é"}, '"k"'),
        ({"k": 5}, '"k"'),
        ({"k": REFRESH["k"] + "="}, '"k"'),
        ({"kid": 0}, ""),
        ({"kid": "256"}, "one byte"),
        ({"kid": None}, "one byte"),
        ({"k": to_base64url(b"changeme")}, "8 bytes"),
        ({"k": to_base64url(b"change me before you go to work!")}, "typed"),
    ],
)
@pytest.mark.ids("KEY-08")
def test_a_faulty_refresh_key_is_refused_with_the_reason(changed: dict, said: str):
    if said:
        assert said in fault_of({**REFRESH, **changed})
    else:
        assert read_ring({"the key": {**REFRESH, **changed}}).ring


def test_a_key_without_its_private_half_is_refused():
    assert "no private half" in fault_of(without(ACCESS, "d"))


@pytest.mark.ids("KEY-08")
@pytest.mark.parametrize("key", testing_keys().ring.keys, ids=lambda key: key.purpose)
def test_the_testing_keys_are_refused_as_keys_of_a_file(key):
    assert "everybody has it" in fault_of(to_jwk(key))


@pytest.mark.ids("KEY-08")
def test_a_key_that_a_standard_prints_is_refused():
    rfc_7517 = {
        "kty": "EC",
        "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
    }
    rfc_7515 = {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    }
    rfc_8037 = {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    }
    for printed in (rfc_7517, rfc_7515, rfc_8037):
        assert "everybody has it" in fault_of(printed)
    assert len(KNOWN_KEYS) == 5


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"5", b'"key"', b"\xff", b"[" * 60000])
def test_a_text_that_is_no_object_is_called_unfinished(text: bytes):
    assert read_ring({"the key": KeyText(text)}).faults == ("the key: it is not a key, or was not written to its end.",)


JUNK = st.none() | st.booleans() | st.integers() | st.text(max_size=50) | st.lists(st.text(max_size=5), max_size=3)


@given(member=st.sampled_from([*ACCESS, "spent_until", "key_ops"]), value=JUNK, jwk=st.sampled_from([ACCESS, REFRESH]))
def test_whatever_a_member_holds_reading_raises_nothing_and_quotes_no_secret(member: str, value: object, jwk: dict):
    reading = read_ring({"the key": {**jwk, member: value}})
    assert (reading.ring is None) is bool(reading.faults)
    assert not any(secret in fault for fault in reading.faults for secret in SECRETS)


# -- A mapping, an environment variable


def test_an_environment_variable_holds_a_whole_ring():
    ring = rotate_access(RING, now=T0 + timedelta(days=1), entropy=ENTROPY)
    text = json.dumps({"keys": [to_jwk(key) for key in ring.keys]})
    source = StaticKeys.from_environment("MY_KEYS", environment={"MY_KEYS": text})
    assert source.ring == ring
    assert source.reload() is source.ring


@pytest.mark.ids("TOK-17")
def test_the_alias_of_ed25519_is_asked_for_where_the_keys_are_read():
    ring = new_ring(now=T0, entropy=ENTROPY, algorithm="Ed25519")
    keys = {"keys": [to_jwk(ring.signing(T0))]}
    assert StaticKeys.from_mapping(keys).ring.keys[0].header_algorithms == ("Ed25519",)
    assert StaticKeys.from_mapping(keys, eddsa_alias=True).ring.keys[0].header_algorithms == ("Ed25519", "EdDSA")


@pytest.mark.parametrize("value", [None, "", "secret", "{}", "[]", '{"keys": []}', '{"keys": {}}', "{" * 99999])
def test_a_variable_that_holds_no_key_set_is_refused_by_name(value: str | None):
    environment = {} if value is None else {"MY_KEYS": value}
    with pytest.raises(ConfigurationError, match="environment variable MY_KEYS: it is not a JWK set"):
        StaticKeys.from_environment("MY_KEYS", environment=environment)


@pytest.mark.ids("KEY-08", "TOK-16")
def test_all_faults_of_a_mapping_are_told_each_with_its_place():
    with pytest.raises(ConfigurationError) as caught:
        StaticKeys.from_mapping({"keys": [ACCESS, ACCESS, {**REFRESH, "k": "c2VjcmV0"}, {"kty": "oct"}]})
    told = "\n".join(caught.value.faults)
    assert "twice" in told
    assert "6 bytes" in told
    assert "key 4: it is a secret" in told


@pytest.mark.ids("KEY-06")
@pytest.mark.parametrize("fault", [{"kid": "x"}, {"x": "AA"}, {"use": "enc"}, {"more": 1}, {"signs_from": ""}])
@pytest.mark.parametrize("source", ["mapping", "environment", "os.environ"])
def test_no_traceback_shows_a_secret_that_was_refused(fault: dict, source: str, monkeypatch: pytest.MonkeyPatch):
    keys = {"keys": [REFRESH, {**ACCESS, **fault}]}
    text = json.dumps(keys)
    if source == "os.environ":
        monkeypatch.setenv("KEYTURN_KEYS", text)
    read = {
        "mapping": lambda: StaticKeys.from_mapping(keys),
        "environment": lambda: StaticKeys.from_environment(environment={"KEYTURN_KEYS": text}),
        "os.environ": StaticKeys.from_environment,
    }[source]
    with pytest.raises(ConfigurationError) as caught:
        read()
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    ours = shown.split("static.py", 1)[1]  # the frame before is this test's, which knows the keys
    assert "reading = " in ours
    assert not any(secret in ours for secret in SECRETS)


def test_a_ring_that_was_given_is_the_ring():
    assert StaticKeys(RING).ring is StaticKeys(RING).reload() is RING
    assert KeyRing(keys=tuple(replace(key) for key in RING.keys)) == RING
