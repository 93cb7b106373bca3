"""The access token on the wire: what is issued, what is read back, and what is refused, in which order."""

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
from dataclasses import FrozenInstanceError, fields, replace
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType

import joserfc.jwk
import joserfc.jwt
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings as budget, strategies as st

from keyturn._access_token import MAX_TOKEN, Expected, issue, read
from keyturn._algorithms import P256_ORDER
from keyturn._jws import canonical, header_segments, looks_issued
from keyturn.errors import KeyturnError, TokenError, TokenExpiredError, TokenInvalidError, TokenStaleError
from keyturn.keyrings.static import testing_keys
from keyturn.keys import Key, KeyRing, new_ring
from keyturn.settings import ACCESS_TOKEN_CEILING
from keyturn.testing.clock import START
from keyturn.tokens import RESERVED_CLAIMS, Claims
from tests.support.access_tokens import ISSUER, SETTINGS, b64, body, claims, compact, header, signed

SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
SKEW = SETTINGS.clock_skew
EXPECTED = Expected(issuer=ISSUER, audience=SETTINGS.audience, realm="default", skew=SKEW, ceiling=ACCESS_TOKEN_CEILING)
#: How many broken tokens each mutation test tries; a long run sets 100000.
MUTATIONS = int(os.environ.get("KEYTURN_MUTATIONS", "300"))


@cache
def ring(algorithm: str) -> KeyRing:
    if algorithm == "ES256":
        return testing_keys().ring
    return new_ring(now=START - timedelta(days=1), entropy=secrets.token_bytes, algorithm=algorithm)


def key(algorithm: str = "ES256") -> Key:
    return ring(algorithm).signing(START)


def accept(token: str, now: datetime = START, *, algorithm: str = "ES256", expected: Expected = EXPECTED) -> Claims:
    return read(token, header_segments(ring(algorithm).verifying(now)), expected, now)


def why_refused(token: str, now: datetime = START, *, algorithm: str = "ES256", expected: Expected = EXPECTED) -> str:
    with pytest.raises(TokenInvalidError) as caught:
        accept(token, now, algorithm=algorithm, expected=expected)
    return (caught.value.cause or "").removeprefix("access token: ")


# --- what is issued -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256"])
@pytest.mark.ids("ATP-01", "ATP-02")
def test_claims_come_back_as_they_were_issued(algorithm):
    sent = claims(extra={"roles": ["admin", {"of": "shop"}], "beta": None, "ratio": 0.5, "naïve": True})
    got = accept(issue(sent, key(algorithm)), algorithm=algorithm)
    expected_extra = {"roles": ("admin", MappingProxyType({"of": "shop"})), "beta": None, "ratio": 0.5, "naïve": True}
    assert got == replace(sent, extra=MappingProxyType(expected_extra))


def test_every_field_of_claims_is_filled_by_its_own_value():
    sent = claims(realm="staff", audience=("a", SETTINGS.audience), extra={"x": 1})
    got = accept(issue(sent, key()), expected=replace(EXPECTED, realm="staff"))
    for field in fields(Claims):
        assert getattr(got, field.name) == getattr(sent, field.name), field.name


@pytest.mark.ids("ATP-01", "TOK-08")
def test_the_header_is_exactly_algorithm_key_and_type():
    head = issue(claims(), key()).split(".")[0]
    assert canonical(head.encode()) == b'{"alg":"ES256","kid":"%s","typ":"at+jwt"}' % key().id.encode()


@pytest.mark.ids("ATP-01", "ATP-03", "ATP-06", "TOK-22", "M55")
def test_the_default_claims_are_these_and_nothing_else():
    payload = json.loads(canonical(issue(claims(), key()).split(".")[1].encode()))
    assert payload == {
        **body(),
        "scope": "read write",
        "amr": ["pwd"],
        "bnd": b64(claims().binding),
    }
    assert list(payload)[:2] == ["iss", "sub"]


def test_what_is_not_there_is_left_out():
    bare = claims(scope=frozenset(), amr=(), binding=None)
    assert json.loads(canonical(issue(bare, key()).split(".")[1].encode())) == body()


def test_the_default_realm_is_left_out_wherever_its_name_was_read():
    spelled = json.loads('"default"')  # another object than the constant, as one from a file is
    assert "realm" not in json.loads(canonical(issue(claims(realm=spelled), key()).split(".")[1].encode()))


@pytest.mark.ids("ATP-04")
def test_times_are_cut_to_whole_seconds():
    late = claims(issued_at=START + SECOND - TICK, expires_at=START + 300 * SECOND + SECOND - TICK)
    got = accept(issue(late, key()))
    assert (got.issued_at, got.expires_at) == (START, START + 300 * SECOND)
    assert got.authenticated_at == late.authenticated_at


@pytest.mark.ids("ATP-07")
def test_a_token_of_the_limit_is_issued_and_a_longer_one_is_not():
    def token(size: int, limit: int) -> str:
        return issue(claims(extra={"x": "y" * size}), key(), limit=limit)

    size = next(size for size in range(5000, 6000) if len(token(size + 1, 9999)) > MAX_TOKEN)
    assert MAX_TOKEN - 1 <= len(token(size, MAX_TOKEN)) <= MAX_TOKEN
    accept(token(size, MAX_TOKEN))
    assert why_refused(token(size + 1, 9999)) == "length or alphabet"
    with pytest.raises(KeyturnError, match="8192 are allowed") as caught:
        token(size + 1, MAX_TOKEN)
    assert caught.value.code == "token_too_large"
    assert "yyyy" not in str(caught.value)


@pytest.mark.ids("ATP-07")
def test_a_usual_token_is_small_and_a_cookie_has_a_lower_limit():
    assert len(issue(claims(), key())) < 2048
    with pytest.raises(KeyturnError, match="3840 are allowed"):
        issue(claims(extra={"x": "y" * 3000}), key(), limit=3840)


@pytest.mark.parametrize("name", sorted(RESERVED_CLAIMS))
def test_an_application_s_claim_may_not_bear_a_reserved_name(name):
    with pytest.raises(KeyturnError, match=f"may not be called {name}:") as caught:
        issue(claims(extra={name: "x", "fine": 1}), key())
    assert caught.value.code == "claim_reserved"


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), object(), {1: 2}, {"a": {2}}, b"x", "\ud800", [[float("nan")]],
     [[[[[[[[1]]]]]]]], START],
    ids=lambda value: repr(value).partition(" at 0x")[0][:24],
)  # fmt: skip
@pytest.mark.ids("TOK-07")
def test_what_json_cannot_say_is_not_issued(value):
    with pytest.raises(KeyturnError) as caught:
        issue(claims(extra={"x": value}), key())
    assert caught.value.code == "claim_not_json"


def test_a_claim_may_nest_as_deep_as_is_read():
    deep = issue(claims(extra={"x": [[[[[[[1]]]]]]]}), key())
    assert accept(deep).extra == {"x": (((((((1,),),),),),),)}


# --- what others make of it ---------------------------------------------------------------------------------------


def public_pem(algorithm: str) -> bytes:
    public = jwt.PyJWK({**key(algorithm).public_jwk(), "alg": "EdDSA" if algorithm == "Ed25519" else algorithm}).key
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
@pytest.mark.ids("ATP-01", "ATP-02")
def test_pyjwt_accepts_our_tokens(algorithm):
    sent = claims(issued_at=datetime.now(tz=START.tzinfo), expires_at=datetime.now(tz=START.tzinfo) + 300 * SECOND)
    token = issue(sent, key(algorithm))
    got = jwt.decode(
        token,
        public_pem(algorithm),
        algorithms=[algorithm],
        audience=SETTINGS.audience,
        issuer=ISSUER,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "jti"]},
    )
    assert (got["sub"], got["sid"]) == (sent.subject, sent.session_id)


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256"])
@pytest.mark.ids("ATP-01", "TOK-17")
def test_joserfc_accepts_our_tokens(algorithm):
    token = issue(claims(), key(algorithm))
    jwk = joserfc.jwk.import_key(key(algorithm).public_jwk())
    got = joserfc.jwt.decode(token, jwk, algorithms=[algorithm])
    assert got.claims["sub"] == "user-1"
    assert got.header == header(key(algorithm))


@pytest.mark.ids("TOK-10")
def test_what_another_library_signs_with_our_key_and_our_header_is_read_too():
    ours = key()
    payload = body(aud=["https://other.example", SETTINGS.audience], exp=START.timestamp() + 299.5, extra="ünïcode")
    pretty = json.dumps(payload, indent=1).encode()  # other spacing, escapes, floats: strict is not narrow
    got = accept(signed(ours, pretty))
    assert got.expires_at == START + timedelta(seconds=299.5)
    assert got.extra == {"extra": "ünïcode"}
    assert got.audience == ("https://other.example", SETTINGS.audience)


# --- shape: length, segments, header ------------------------------------------------------------------------------


@pytest.mark.ids("TOK-19", "M56")
def test_a_token_that_is_too_long_costs_no_work():
    class Untouched(dict):
        def get(self, *args):
            raise AssertionError("looked into")

    with pytest.raises(TokenInvalidError, match="not valid"):
        read("a" * 20_000_000, Untouched(), EXPECTED, START)
    with pytest.raises(TokenInvalidError):
        read("." * (MAX_TOKEN + 1), Untouched(), EXPECTED, START)


def spoilt(token: str) -> dict[str, str]:
    head, payload, signature = token.split(".")
    return {
        "empty": "",
        "two segments": f"{head}.{payload}",
        "unsigned": f"{head}.{payload}.",
        "no payload": f"{head}..{signature}",
        "no header": f".{payload}.{signature}",
        "four segments": f"{token}.x",
        "five segments, as a JWE": f"{token}.x.y",
        "padding": f"{token}=",
        "more padding": f"{token}==",
        "padded header": f"{head}=.{payload}.{signature}",
        "space": f"{token} ",
        "leading space": f" {token}",
        "newline": f"{token}\n",
        "newline within": f"{head}.{payload[:8]}\n{payload[8:]}.{signature}",
        "standard alphabet": f"{head}.{payload}.{signature[:-1]}+",
        "slash": f"{head}.{payload}.{signature[:-1]}/",
        "not ascii": f"{head}.{payload}é.{signature}",
        "full-width": token.replace("A", "\uff21"),
        "surrogate": f"{token}\udcff",
        "nul": f"{token}\0",
        "json serialization": json.dumps({"protected": head, "payload": payload, "signature": signature}),
        "twice": f"{token},{token}",
        "with scheme": f"Bearer {token}",
    }


@pytest.mark.parametrize("name", spoilt("a.b.c"))
@pytest.mark.ids("TOK-06", "DS-03")
def test_only_three_canonical_segments_are_a_token(name):
    # The signature's last character carries four spare bits, so a neighbour decodes to the same bytes.
    token = issue(claims(), key())
    accept(token)
    why_refused(spoilt(token)[name])


@pytest.mark.ids("TOK-06", "TOK-18")
def test_a_token_has_one_spelling():
    token = issue(claims(), key())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = alphabet[alphabet.index(token[-1]) + 1]
    assert why_refused(token[:-1] + spare) == "segments"


@pytest.mark.parametrize("spoil", ["{}=", "{}==", " {}", "{}\n", "{}B", "+{}", "{}.{}", ""])
@pytest.mark.ids("TOK-06")
def test_a_payload_that_is_no_canonical_segment_is_refused_though_our_key_signed_it(spoil):
    head = issue(claims(), key()).split(".")[0]
    payload = compact(body(sub="user" + "-" * ((1 - len(compact(body(sub="user")))) % 3)))  # two characters left over
    data = f"{head}.{spoil.format(b64(payload), b64(payload))}"
    assert why_refused(f"{data}.{b64(key().sign(data.encode()))}") in {"segments", "header", "JSON"}


@given(st.text(alphabet="ABCYZabgwz0189-_+/=. \n", max_size=12).map(str.encode))
@pytest.mark.ids("TOK-06")
def test_what_decodes_is_what_encoding_gives(segment):
    raw = canonical(segment)
    lenient = None
    if re.fullmatch(rb"[A-Za-z0-9_-]*", segment) and len(segment) % 4 != 1:
        import base64

        decoded = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
        lenient = decoded if b64(decoded).encode() == segment else None
    assert raw == lenient


def forged_headers(ours: Key) -> dict[str, object]:
    jwk = ours.public_jwk()
    return {
        **{f"alg {alg}": header(ours, alg=alg) for alg in ("none", "None", "NONE", "nOnE", "", "es256", "ES384",
            "HS256", "PS256", "RS256", "EdDSA", "Ed25519", None, 1, [], {})},
        **{f"typ {typ}": header(ours, typ=typ) for typ in ("JWT", "jwt", "AT+JWT", "application/at+jwt", "dpop+jwt",
            "dbsc+jwt", "logout+jwt", "", None, ...)},
        **{f"kid {str(kid)[:20]}": header(ours, kid=kid) for kid in ("../../etc/passwd", "' or 1=1--", "|sleep 9",
            "http://127.0.0.1/", "x" * 10_000, "x" * 6000, 1, None, [], {}, "", ..., ours.id[:-1], ours.id + "\0")},
        "jwk": header(ours, jwk=jwk),
        "jku": header(ours, jku="http://127.0.0.1:9/keys"),
        "x5u": header(ours, x5u="http://127.0.0.1:9/cert"),
        "x5c": header(ours, x5c=["MIIB"]),
        "x5t": header(ours, x5t="abc"),
        **{f"crit {crit}": header(ours, crit=crit) for crit in ([], ["exp"], ["b64"], "b64", None)},
        "b64": header(ours, b64=False, crit=["b64"]),
        "zip": header(ours, zip="DEF"),
        "cty": header(ours, cty="JWT"),
        "another order": {"typ": "at+jwt", "alg": ours.algorithm, "kid": ours.id},
        "spaces": json.dumps(header(ours)).encode(),
        "a name twice": compact(header(ours))[:-1] + b',"typ":"at+jwt"}',
        "p2c": {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2**31 - 1, "p2s": "x"},
        "empty": b"",
        "list": [],
    }  # fmt: skip


@pytest.mark.parametrize("name", forged_headers(testing_keys().ring.signing(START)))
@pytest.mark.ids("TOK-02", "TOK-03", "TOK-04", "TOK-05", "TOK-08", "DS-03")
def test_no_other_header_is_accepted_even_if_our_key_signed_it(name):
    assert why_refused(signed(key(), body(), forged_headers(key())[name])) in {"header", "length or alphabet"}


def hmac_token(ours: Key, secret: bytes, algorithm: str = "HS256") -> str:
    data = f"{b64(compact(header(ours, alg=algorithm)))}.{b64(compact(body()))}"
    return f"{data}.{b64(hmac.digest(secret, data.encode(), hashlib.sha256))}"


def public_texts(algorithm: str) -> dict[str, bytes]:
    public = serialization.load_pem_public_key(public_pem(algorithm))
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    texts = {
        "pem": public_pem(algorithm),
        "pem stripped": public_pem(algorithm).strip(),
        "der": der,
        "jwk": json.dumps(key(algorithm).public_jwk()).encode(),
        "empty": b"",
    }
    if algorithm == "ES256":
        texts["point"] = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return texts


@pytest.mark.parametrize("claimed", ["HS256", "own"])
@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
@pytest.mark.ids("TOK-02", "TOK-16")
def test_a_public_key_is_no_secret_to_sign_with(algorithm, claimed):
    for secret in public_texts(algorithm).values():
        named = algorithm if claimed == "own" else claimed
        why_refused(hmac_token(key(algorithm), secret, named), algorithm=algorithm)


@pytest.mark.ids("TOK-02")
def test_an_rsa_key_takes_no_other_padding():
    ours = key("RS256")
    data = f"{b64(compact(header(ours)))}.{b64(compact(body()))}"
    pss = ours.material._private.sign(data.encode(), padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
    assert why_refused(f"{data}.{b64(pss)}", algorithm="RS256") == "signature"
    stranger = rsa.generate_private_key(65537, 2048).sign(data.encode(), padding.PKCS1v15(), SHA256())
    assert why_refused(f"{data}.{b64(stranger)}", algorithm="RS256") == "signature"


@pytest.mark.ids("TOK-02", "TOK-09")
def test_one_key_s_token_does_not_pass_under_another_key_s_header():
    other = new_ring(now=START - timedelta(days=1), entropy=secrets.token_bytes).signing(START)
    assert why_refused(signed(other, body(), header(key()))) == "signature"
    assert why_refused(signed(other, body())) == "header"


@pytest.mark.ids("TOK-14")
def test_an_ecdsa_signature_is_r_and_s_and_nothing_else():
    ours = key()
    data = f"{b64(compact(header(ours)))}.{b64(compact(body()))}"
    good = ours.sign(data.encode())
    r, s = int.from_bytes(good[:32], "big"), int.from_bytes(good[32:], "big")
    bad = {
        "der": encode_dss_signature(r, s),
        "short": good[:-1],
        "long": good + b"\0",
        "leading zero": b"\0" + good[:32] + b"\0" + good[32:],
        "zeros": bytes(64),
        "r + n": ((r + P256_ORDER) % 2**256).to_bytes(32, "big") + good[32:],
        "r = n": P256_ORDER.to_bytes(32, "big") + good[32:],
        "s = 0": good[:32] + bytes(32),
        "half": good[:32],
    }
    accept(f"{data}.{b64(good)}")
    for signature in bad.values():
        assert why_refused(f"{data}.{b64(signature)}") == "signature"


# --- signature first ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256"])
@pytest.mark.ids("TOK-01", "M45")
def test_of_a_forged_token_nothing_is_said_but_that_it_is_invalid(algorithm):
    token = issue(claims(), key(algorithm))
    long_after = START + timedelta(days=1)
    with pytest.raises(TokenExpiredError):
        accept(token, long_after, algorithm=algorithm)
    head, payload, signature = token.split(".")
    flipped = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    changed = b64(compact(body(exp=1, iat=0, sub="somebody else")))
    for forged in (f"{head}.{payload}.{flipped}", f"{head}.{changed}.{signature}"):
        with pytest.raises(TokenInvalidError) as caught:
            accept(forged, long_after, algorithm=algorithm)
        assert "somebody" not in f"{caught.value!r} {caught.value} {caught.value.cause}"


@pytest.mark.ids("TOK-01")
def test_nothing_of_an_unverified_token_is_decoded(monkeypatch):
    def decoded(payload):
        raise AssertionError("decoded before the signature was checked")

    monkeypatch.setattr("keyturn._access_token._decode_known", decoded)
    monkeypatch.setattr("keyturn._access_token._decode_all", decoded)
    head, _, signature = issue(claims(), key()).split(".")
    assert why_refused(f"{head}.{b64(b'{}')}.{signature}") == "signature"


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256"])
@pytest.mark.ids("TOK-01")
def test_every_flipped_bit_is_seen(algorithm):
    token = issue(claims(), key(algorithm))
    step = 1 if MUTATIONS > 1000 else 13
    for place in range(0, len(token), step):
        for bit in (1, 2, 4, 8, 16, 32):
            changed = chr(ord(token[place]) ^ bit)
            why_refused(token[:place] + changed + token[place + 1 :], algorithm=algorithm)


@budget(max_examples=MUTATIONS, deadline=None)
@given(st.data())
@pytest.mark.ids("TOK-20")
def test_no_mutation_gets_in_or_raises_anything_but_a_token_error(data):
    token = issue(claims(extra={"roles": ["a"]}), key())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(token)))
        end = data.draw(st.integers(start, min(len(token), start + 8)))
        token = token[:start] + data.draw(st.text(max_size=6)) + token[end:]
    if token != issue(claims(extra={"roles": ["a"]}), key()):
        why_refused(token)


@budget(max_examples=MUTATIONS, deadline=None)
@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,99}\.[A-Za-z0-9_-]{0,99}\.[A-Za-z0-9_-]{0,99}", fullmatch=True))
@pytest.mark.ids("TOK-20")
def test_any_text_is_just_no_token(text):
    why_refused(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
        st.text(), inner), max_leaves=8
)  # fmt: skip


@budget(max_examples=MUTATIONS, deadline=None)
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
@pytest.mark.ids("TOK-07", "TOK-20", "M56")
def test_whatever_our_key_signs_is_refused_by_a_token_error_if_it_is_no_set_of_claims(payload):
    why_refused(signed(key(), payload))


@budget(max_examples=MUTATIONS, deadline=None)
@given(st.sampled_from(sorted(body())), JSON)
@pytest.mark.ids("TOK-07", "TOK-20")
def test_any_value_of_a_claim_is_accepted_or_refused_by_a_token_error(name, value):
    payload = json.dumps(body(**{name: value})).encode()
    with contextlib.suppress(TokenError):
        accept(signed(key(), payload))


# --- strict JSON --------------------------------------------------------------------------------------------------


def text_with(inside: str) -> bytes:
    return compact(body())[:-1] + b"," + inside.encode("utf-8", "surrogatepass") + b"}"


@pytest.mark.parametrize(
    "payload",
    [
        b"\xef\xbb\xbf" + compact(body()),
        compact(body()).decode().encode("utf-16"),
        compact(body()).decode().encode("utf-16-le"),
        compact(body()).decode().encode("utf-32"),
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"[%s]" % compact(body()),
        compact(body()) + b"x",
        compact(body()) + compact(body()),
        compact(body())[:-1] + b",}",
        b"//\n" + compact(body()),
        text_with('"sub":"admin"'),
        text_with('"x":1,"x":1'),
        text_with('"x":{"a":1,"a":2}'),
        text_with('"x":[{"a":1,"\\u0061":2}]'),
        text_with('"x":NaN'),
        text_with('"x":Infinity'),
        text_with('"x":-Infinity'),
        text_with('"x":1e400'),
        text_with('"x":' + "9" * 5000),
        text_with('"x":"\\ud800"'),
        text_with('"x":"\\udc00 and more"'),
        text_with('"x":"\\ud800\\ud800"'),
        text_with('"x":"\ud800"'),
        text_with('"x":"\x01"'),
        text_with("'x':1"),
        text_with('"x":01'),
        text_with('"x":' + "[" * 8 + "]" * 8),
        text_with('"x":' + '{"a":' * 8 + "1" + "}" * 8),
        text_with('"x":' + "[" * 2500 + "]" * 2500),
        b"[" * 5000,
        b'{"a":' * 1000,
    ],
    ids=lambda payload: repr(payload[-24:]),
)
@pytest.mark.ids("TOK-07", "M56")
def test_only_strict_json_is_read_though_our_key_signed_it(payload):
    assert why_refused(signed(key(), payload)) == "JSON"


def test_json_that_is_strict_but_spelled_otherwise_is_read():
    assert accept(signed(key(), text_with('"x":' + "[" * 7 + "]" * 7))).extra
    assert accept(signed(key(), text_with('"x" : "\\ud83d\\ude00"'))).extra["x"] == "😀"


# --- claims -------------------------------------------------------------------------------------------------------

NUMBERS = (..., None, True, False, "1893456000", "1", [], {}, "")


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
@pytest.mark.parametrize("name", ["exp", "iat", "auth_time"])
@pytest.mark.ids("TOK-11", "M56")
def test_times_must_be_numbers(name, value):
    assert why_refused(signed(key(), body(**{name: value}))) == "JSON"


@pytest.mark.parametrize("value", [-1, -1e300, 1e300, 10**18, 253_370_764_800], ids=repr)
@pytest.mark.parametrize("name", ["exp", "iat", "auth_time"])
@pytest.mark.ids("TOK-11")
def test_times_must_be_times(name, value):
    assert why_refused(signed(key(), body(**{name: value}))) == "a time out of range"


@pytest.mark.ids("TOK-11")
def test_a_token_is_good_until_its_end_and_the_skew_have_passed():
    token = issue(claims(), key())
    end = START + timedelta(minutes=5) + SKEW
    accept(token, end - TICK)
    accept(token, end - SECOND)
    for over in (end, end + TICK, end + SECOND):
        with pytest.raises(TokenExpiredError):
            accept(token, over)


@pytest.mark.ids("TOK-11")
def test_a_token_from_the_future_is_refused_beyond_the_skew():
    token = issue(claims(), key())
    accept(token, START - SKEW)
    accept(token, START - SKEW + SECOND)
    for early in (START - SKEW - TICK, START - SKEW - SECOND):
        with pytest.raises(TokenStaleError):
            accept(token, early)


@pytest.mark.ids("TOK-12", "ATP-07")
def test_no_token_lives_longer_than_the_ceiling():
    hour = int(ACCESS_TOKEN_CEILING / SECOND)
    start = int(START.timestamp())
    accept(signed(key(), body(exp=start + hour)))
    assert why_refused(signed(key(), body(exp=start + hour + 1))) == "lifetime"
    assert why_refused(signed(key(), body(exp=start + hour + 0.001))) == "lifetime"
    assert why_refused(signed(key(), body(exp=start - 1))) == "lifetime"
    assert why_refused(signed(key(), body(iat=0)), START + timedelta(days=9)) == "lifetime"


@pytest.mark.parametrize("issuer", [f"{ISSUER}/", ISSUER.upper(), "https://id.example.org:443", "", "x"])
@pytest.mark.ids("TOK-09")
def test_the_issuer_is_compared_octet_for_octet(issuer):
    assert why_refused(signed(key(), body(iss=issuer))) == "issuer"


@pytest.mark.parametrize(
    "audience", ["", "https://api.example.org/", "API", [], [""], ["x", "y"], "https://api.example"]
)
@pytest.mark.ids("TOK-10")
def test_the_audience_must_name_this_verifier(audience):
    assert why_refused(signed(key(), body(aud=audience))) == "audience"


@pytest.mark.parametrize("audience", [..., None, 1, True, {}, {SETTINGS.audience: 1}, [1], [SETTINGS.audience, None],
    [[SETTINGS.audience]]], ids=repr)  # fmt: skip
@pytest.mark.ids("TOK-10")
def test_the_audience_must_be_a_text_or_a_list_of_texts(audience):
    assert why_refused(signed(key(), body(aud=audience))) == "JSON"


@pytest.mark.parametrize(("told", "asked"), [(..., "staff"), ("staff", "default"), ("staff", "shop"), ("", "default")])
@pytest.mark.ids("TOK-09")
def test_a_token_of_another_realm_is_refused(told, asked):
    assert why_refused(signed(key(), body(realm=told)), expected=replace(EXPECTED, realm=asked)) == "realm"


def test_no_realm_means_the_default_realm():
    assert accept(issue(claims(), key())).realm == "default"
    assert accept(signed(key(), body(realm="staff")), expected=replace(EXPECTED, realm="staff")).realm == "staff"
    assert why_refused(signed(key(), body(realm=None))) == "JSON"


@pytest.mark.parametrize("name", ["sub", "client_id", "jti"])
@pytest.mark.ids("TOK-13", "ATP-05")
def test_who_and_which_must_be_said(name):
    assert why_refused(signed(key(), body(**{name: ""}))) == "an empty claim"
    for value in (..., None, 1, True, [], {}):
        assert why_refused(signed(key(), body(**{name: value}))) == "JSON"


@pytest.mark.parametrize("changes", [{"sid": ""}, {"sid": "x" * 21}, {"sid": "A" * 21 + "B"}, {"sid": "é" * 22},
    {"sid": "A" * 23}, {"sid": "A" * 22 + "\n"}, {"gen": -1}, {"gen": 2**32}], ids=repr)  # fmt: skip
def test_the_session_must_be_one_that_can_exist(changes):
    assert why_refused(signed(key(), body(**changes))) == "session"


@pytest.mark.parametrize("changes", [{"gen": 1.5}, {"gen": True}, {"gen": "1"}, {"gen": ...}, {"sid": ...}, {"sid": 1},
    {"scope": ["read"]}, {"scope": None}, {"amr": "pwd"}, {"amr": [1]}, {"bnd": None}, {"bnd": 1}], ids=repr)  # fmt: skip
def test_our_own_claims_have_one_type(changes):
    assert why_refused(signed(key(), body(**changes))) == "JSON"


@pytest.mark.parametrize(
    "binding", ["", "A", "A" * 42, "A" * 44, "A" * 42 + "B", "!" * 43, "A" * 42 + "=", "A" * 42 + "+", "A" * 42 + "é"]
)
def test_a_binding_that_is_none_does_not_make_a_token_unbound(binding):
    assert why_refused(signed(key(), body(bnd=binding))) == "binding"


@pytest.mark.parametrize("condition", [{"nbf": 0}, {"nbf": "soon"}, {"cnf": {"jkt": "x"}}, {"cnf": None}], ids=repr)
@pytest.mark.ids("ATP-03", "TOK-11")
def test_a_condition_that_is_not_checked_here_is_not_ignored(condition):
    assert why_refused(signed(key(), body(**condition))) == "a condition that is not known here"


# --- what comes out -----------------------------------------------------------------------------------------------


def test_claims_cannot_be_changed_however_deep():
    got = accept(issue(claims(extra={"a": {"b": [{"c": 1}]}}), key()))
    with pytest.raises(FrozenInstanceError):
        got.subject = "admin"
    with pytest.raises(TypeError):
        got.extra["a"] = 1
    with pytest.raises(TypeError):
        got.extra["a"]["b"] = 1
    with pytest.raises(TypeError):
        got.extra["a"]["b"][0]["c"] = 2
    assert isinstance(got.extra["a"]["b"], tuple)
    assert isinstance(got.scope, frozenset)


@pytest.mark.ids("TOK-20")
def test_every_refusal_looks_the_same_from_outside():
    token = issue(claims(), key())
    bad = [
        "",
        token[:-2],
        f"{token}x",
        signed(key(), b"[]"),
        signed(key(), body(iss="x")),
        signed(key(), body(aud="x")),
    ]
    seen = set()
    for each in bad:
        with pytest.raises(TokenInvalidError) as caught:
            accept(each)
        seen.add((str(caught.value), repr(caught.value), caught.value.code, caught.value.status))
        assert each == "" or each not in f"{caught.value.cause}"
    assert len(seen) == 1


@pytest.mark.ids("TOK-17")
def test_the_older_name_of_ed25519_is_accepted_only_where_asked_for():
    ours = key("Ed25519")
    old = signed(ours, body(), header(ours, alg="EdDSA"))
    assert why_refused(old, algorithm="Ed25519") == "header"
    aliased = header_segments([replace(ours, eddsa_alias=True)])
    assert read(old, aliased, EXPECTED, START).subject == "user-1"
    assert read(issue(claims(), ours), aliased, EXPECTED, START).subject == "user-1"


def test_a_key_accepts_nothing_from_the_moment_it_is_over():
    over = replace(key(), verifies_until=START + SECOND)
    token = issue(claims(), over)
    keys = header_segments([over])
    read(token, keys, EXPECTED, START + SECOND - TICK)
    with pytest.raises(TokenInvalidError):
        read(token, keys, EXPECTED, START + SECOND)


@pytest.mark.ids("TOK-04")
def test_a_header_like_ours_asks_for_another_look_at_the_ring_and_no_other_does():
    token = issue(claims(), key())
    other = new_ring(now=START, entropy=secrets.token_bytes, algorithm="Ed25519").signing(START)
    assert looks_issued(token)
    assert looks_issued(signed(other, body()))
    for name, head in forged_headers(key()).items():
        same = compact(head).startswith((b'{"alg":"RS256"', b'{"alg":"EdDSA"', b'{"alg":"Ed25519"'))
        assert looks_issued(signed(key(), body(), head)) is same, name
    assert not looks_issued("é" * 300)
