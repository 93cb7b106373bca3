"""Tokens, metadata and OAuth routes of a running server, as `jose` and `oauth4webapi` take them under Node."""

import re

import pytest

from tests.interop.issuers import PROVED, PUBLIC, SECRET, Issuer
from tests.interop.node_program import NodeProgram, Refused, node_program

AS_PUBLIC = {"client_id": PUBLIC, "proof": "none"}


@pytest.fixture(scope="module")
def jose(issuer: Issuer, tmp_path_factory) -> NodeProgram:
    arguments = (issuer.metadata["jwks_uri"], issuer.algorithm)
    with node_program(tmp_path_factory.mktemp("jose"), "jose", issuer, *arguments) as program:
        yield program


@pytest.fixture(scope="module")
def oauth(issuer: Issuer, tmp_path_factory) -> NodeProgram:
    with node_program(tmp_path_factory.mktemp("oauth"), "oauth4webapi", issuer) as program:
        program.ask("discover")
        yield program


def as_proved(proof: str = "basic", secret: str = SECRET) -> dict[str, str]:
    return {"client_id": PROVED, "secret": secret, "proof": proof}


def spoiled(token: str) -> str:
    """The same token with another character in the middle of its signature."""
    at = len(token) - 20
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


# --- access tokens -------------------------------------------------------------------------------------------------


@pytest.mark.ids("ATP-01", "KEY-02")
def test_jose_accepts_an_access_token(issuer, jose):
    answer = issuer.sign_in(scope="read")
    read = jose.ask("verify", token=answer["access_token"])
    assert list(read["header"]) == ["alg", "kid", "typ"]
    assert read["header"]["kid"] in [key["kid"] for key in issuer.keys["keys"]]
    claims = read["claims"]
    assert (claims["scope"], claims["sid"], claims["client_id"]) == ("read", answer["session_id"], "default")
    assert len(claims["jti"]) >= 22  # 128 bits


@pytest.mark.ids("ATP-01")
def test_jose_refuses_what_is_not_for_this_service_or_not_ours(issuer, jose):
    token = issuer.sign_in()["access_token"]
    with pytest.raises(Refused) as caught:
        jose.ask("verify", token=token, audience="https://other.example.org")
    assert caught.value.told["code"] == "ERR_JWT_CLAIM_VALIDATION_FAILED"
    with pytest.raises(Refused) as caught:
        jose.ask("verify", token=spoiled(token))
    assert caught.value.told["code"] == "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"


@pytest.mark.ids("ATP-01", "ATP-03")
@pytest.mark.parametrize("transport", ["body", "cookie"])
def test_oauth4webapi_accepts_an_access_token_bound_to_a_cookie_or_not(issuer, oauth, transport):
    token = issuer.sign_in(transport=transport)["access_token"]
    claims = oauth.ask("validate", token=token)
    assert ("bnd" in claims) == (transport == "cookie")
    assert "cnf" not in claims
    with pytest.raises(Refused):
        oauth.ask("validate", token=token, audience="https://other.example.org")
    with pytest.raises(Refused):
        oauth.ask("validate", token=spoiled(token))


# --- discovery -----------------------------------------------------------------------------------------------------


@pytest.mark.ids("OA-05")
def test_oauth4webapi_discovers_the_server(issuer, oauth):
    assert oauth.ask("discover") == issuer.metadata


@pytest.mark.ids("OA-05", "ATP-01")
def test_an_issuer_with_a_path_behind_tls_is_discovered_and_believed(issuer_behind_tls, tmp_path):
    with node_program(tmp_path, "oauth4webapi", issuer_behind_tls) as oauth:
        assert oauth.ask("discover")["issuer"] == issuer_behind_tls.url
        answer = issuer_behind_tls.sign_in(client_id=PUBLIC)
        assert oauth.ask("validate", token=answer["access_token"])["iss"] == issuer_behind_tls.url
        refreshed = oauth.ask("refresh", token=answer["refresh_token"], **AS_PUBLIC)
        assert oauth.ask("validate", token=refreshed["access_token"])["sid"] == answer["session_id"]


# --- the OAuth routes ----------------------------------------------------------------------------------------------


@pytest.mark.ids("OA-02")
@pytest.mark.parametrize("proof", ["none", "basic", "post"])
def test_a_client_refreshes_with_oauth4webapi(issuer, oauth, proof):
    how = AS_PUBLIC if proof == "none" else as_proved(proof)
    first = issuer.sign_in(client_id=how["client_id"], scope="read write")
    second = oauth.ask("refresh", token=first["refresh_token"], **how)
    assert (second["token_type"], second["scope"], second["session_id"]) == (
        "bearer",
        "read write",
        first["session_id"],
    )
    assert second["refresh_token"] != first["refresh_token"]
    assert oauth.ask("validate", token=second["access_token"])["client_id"] == how["client_id"]


@pytest.mark.ids("HT-03")
def test_a_refused_refresh_is_an_error_that_oauth4webapi_can_read(issuer, oauth):
    with pytest.raises(Refused) as caught:
        oauth.ask("refresh", token="kt1.nonsense", **AS_PUBLIC)
    told = caught.value.told
    assert (told["name"], told["status"], told["error"]) == ("ResponseBodyError", 400, "invalid_grant")


@pytest.mark.ids("HT-03", "OA-02")
def test_a_token_of_another_client_is_refused_and_its_session_stays(issuer, oauth):
    answer = issuer.sign_in(client_id=PROVED)
    with pytest.raises(Refused) as caught:
        oauth.ask("refresh", token=answer["refresh_token"], **AS_PUBLIC)
    assert caught.value.told["error"] == "invalid_grant"
    assert oauth.ask("refresh", token=answer["refresh_token"], **as_proved())["session_id"] == answer["session_id"]


@pytest.mark.ids("OA-02", "HT-03")
@pytest.mark.parametrize("question", ["refresh", "revoke", "introspect"])
@pytest.mark.parametrize("proof", ["basic", "post"])
def test_a_wrong_secret_is_answered_with_a_challenge_that_oauth4webapi_can_read(issuer, oauth, question, proof):
    with pytest.raises(Refused) as caught:
        oauth.ask(question, token="kt1.nonsense", **as_proved(proof, "wrong"))
    told = caught.value.told
    assert (told["name"], told["status"]) == ("WWWAuthenticateChallengeError", 401)
    assert [challenge["scheme"] for challenge in told["challenges"]] == ["basic"]


@pytest.mark.ids("OA-03")
@pytest.mark.parametrize("hint", [None, "refresh_token", "access_token", "something_else"])
@pytest.mark.parametrize("proof", ["none", "basic", "post"])
def test_a_client_revokes_with_oauth4webapi(issuer, oauth, proof, hint):
    how = AS_PUBLIC if proof == "none" else as_proved(proof)
    answer = issuer.sign_in(client_id=how["client_id"])
    oauth.ask("revoke", token=answer["refresh_token"], hint=hint, **how)
    with pytest.raises(Refused) as caught:
        oauth.ask("refresh", token=answer["refresh_token"], **how)
    assert caught.value.told["error"] == "invalid_grant"


@pytest.mark.ids("OA-03")
def test_revoking_what_is_unknown_or_foreign_is_no_error_and_has_no_effect(issuer, oauth):
    answer = issuer.sign_in(client_id=PROVED)
    for token in ("nonsense", "kt1.nonsense", answer["refresh_token"]):
        oauth.ask("revoke", token=token, **AS_PUBLIC)
    assert oauth.ask("refresh", token=answer["refresh_token"], **as_proved())["session_id"] == answer["session_id"]


@pytest.mark.ids("OA-04")
@pytest.mark.parametrize("proof", ["basic", "post"])
def test_a_service_introspects_with_oauth4webapi(issuer, oauth, proof):
    answer = issuer.sign_in(client_id=PROVED, scope="read")
    told = oauth.ask("introspect", token=answer["access_token"], **as_proved(proof))
    assert (told["active"], told["scope"], told["client_id"], told["iss"]) == (True, "read", PROVED, issuer.url)
    assert oauth.ask("introspect", token=answer["refresh_token"], **as_proved(proof))["active"] is True
    oauth.ask("revoke", token=answer["refresh_token"], **as_proved(proof))
    for token in (answer["access_token"], answer["refresh_token"], "nonsense"):
        assert oauth.ask("introspect", token=token, **as_proved(proof)) == {"active": False}


@pytest.mark.ids("OA-04", "HT-03")
def test_introspection_is_for_clients_that_prove_who_they_are(issuer, oauth):
    answer = issuer.sign_in()
    with pytest.raises(Refused) as caught:
        oauth.ask("introspect", token=answer["access_token"], **AS_PUBLIC)
    told = caught.value.told
    assert (told["name"], told["status"]) == ("WWWAuthenticateChallengeError", 401)


@pytest.mark.ids("KEY-01")
def test_the_keys_are_served_as_what_oauth4webapi_takes(issuer):
    answer = issuer.server.call("GET", "/auth/jwks.json")
    kind = next(value for name, value in answer.headers.items() if name.lower() == "content-type")
    assert re.fullmatch(r"application/(jwk-set\+)?json", kind)
