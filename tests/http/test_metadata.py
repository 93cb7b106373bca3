"""Keys and the server's self-description."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from jwt import PyJWK, decode, get_unverified_header

from keyturn.keys import remove
from keyturn.service import Service
from keyturn.testing.entropy import CountingEntropy
from tests.support.front import ISSUER, KEYS, PAGE, REFRESH, a_front, settings_with
from tests.support.written_keys import Written

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
OAUTH = "/.well-known/oauth-authorization-server"


@pytest.mark.ids("KEY-01", "KEY-02")
@pytest.mark.parametrize("path", ["/auth/jwks.json", "/.well-known/jwks.json"])
@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_only_public_members_of_signing_keys_are_shown(path, algorithm, tmp_path):
    settings = settings_with(algorithm=algorithm)
    front = a_front(settings)
    service = Service(settings, store="memory:", keys=tmp_path / "keys", users=front.members)
    front.service = service
    answer = front.send("GET", path)
    assert answer.status == 200
    assert answer.header("Content-Type") == "application/jwk-set+json"
    for key in answer.json["keys"]:
        assert not PRIVATE & set(key)
        assert key["kty"] in {"EC", "OKP"}
        assert key["use"] == "sig"
        assert key["alg"] == algorithm
        assert len(key["kid"]) == 43
    assert len(answer.json["keys"]) >= 1


@pytest.mark.ids("KEY-01", "KEY-02", "ATP-01")
def test_a_token_names_a_published_key_and_others_libraries_verify_it():
    front = a_front()
    device = front.device(page=False)
    keys = {key["kid"]: key for key in front.send("GET", "/auth/jwks.json").json["keys"]}
    from jwt import get_unverified_header

    key = PyJWK(keys[get_unverified_header(device.access_token)["kid"]])
    claims = decode(
        device.access_token, key, algorithms=["ES256"], audience=ISSUER, issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )  # fmt: skip
    assert claims["sub"] == "u-alice"


@pytest.mark.ids("HT-05")
def test_keys_and_metadata_may_be_cached_and_their_errors_may_not():
    front = a_front()
    for path in ("/auth/jwks.json", "/.well-known/jwks.json", OAUTH):
        assert front.send("GET", path).header("Cache-Control") == "public, max-age=300"
        assert front.send("POST", path).header("Cache-Control") == "no-store"
        assert front.send("GET", path, headers=PAGE).set_cookies == []


@pytest.mark.ids("OA-05")
def test_the_metadata_is_that_of_rfc_8414():
    told = a_front().send("GET", OAUTH).json
    assert told["issuer"] == ISSUER
    for name in ("token_endpoint", "revocation_endpoint", "jwks_uri"):
        assert urlsplit(told[name]).scheme == "https"
        assert told[name].startswith(ISSUER + "/auth/")
    assert told["grant_types_supported"] == ["refresh_token"]
    assert all(value for value in told.values())
    assert "client_secret_basic" in told["token_endpoint_auth_methods_supported"]


@pytest.mark.ids("OA-05")
def test_without_clients_that_have_a_secret_none_is_the_only_method():
    assert a_front(clients=()).send("GET", OAUTH).json["token_endpoint_auth_methods_supported"] == ["none"]


@pytest.mark.ids("OA-05")
def test_an_issuers_path_comes_after_the_well_known_one():
    front = a_front(settings_with(issuer="https://example.org/tenant/one"))
    assert front.send("GET", OAUTH + "/tenant/one").json["issuer"] == "https://example.org/tenant/one"
    assert not front.service.answers(OAUTH)
    assert not front.service.answers(OAUTH + "/tenant")


@pytest.mark.ids("OA-05")
def test_every_address_it_names_is_answered():
    front = a_front()
    told = front.send("GET", OAUTH).json
    assert front.send("GET", urlsplit(told["jwks_uri"]).path).status == 200
    for name in ("token_endpoint", "revocation_endpoint"):
        assert front.send("POST", urlsplit(told[name]).path, form={}).status == 400


@pytest.mark.ids("M53")
def test_the_prefix_moves_the_addresses():
    front = a_front(settings_with(prefix="/api/session"))
    assert front.send("GET", OAUTH).json["token_endpoint"] == ISSUER + "/api/session/token"
    assert front.send("GET", "/api/session/jwks.json").status == 200


def test_a_key_set_is_cached_for_less_than_a_key_is_published_ahead():
    front = a_front()
    assert timedelta(
        seconds=int(front.send("GET", "/auth/jwks.json").header("Cache-Control").rpartition("=")[2])
    ) <= timedelta(minutes=5)


@pytest.mark.ids("CK-08")
@pytest.mark.parametrize("path", ["/auth/jwks.json", "/.well-known/jwks.json", OAUTH])
def test_an_answer_that_clears_a_doubled_cookie_is_kept_by_no_cache(path):
    front = a_front()
    answer = front.send("GET", path, cookies=f"{REFRESH}=a; {REFRESH}=b".encode())
    assert answer.cookies == {REFRESH: ""}
    assert answer.header("Cache-Control") == "no-store"


@pytest.mark.ids("KEY-03", "KEY-04")
def test_a_process_that_nobody_asked_for_long_publishes_and_signs_with_the_keys_of_today():
    source = Written(KEYS.ring)
    front = a_front(keys=source)
    front.device()
    gone = KEYS.ring.signing(front.clock())
    source.written = remove(KEYS.ring, gone.id, now=front.clock(), entropy=CountingEntropy("another process"))
    front.advance(60)
    assert gone.id not in {key["kid"] for key in front.send("GET", "/auth/jwks.json").json["keys"]}
    source.ring = KEYS.ring
    front.advance(60)
    assert get_unverified_header(front.device(page=False).access_token)["kid"] != gone.id
