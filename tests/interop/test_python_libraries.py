"""Tokens and metadata of a running server are accepted by PyJWT, joserfc and Authlib, and refused where they should be."""

import json
import re

import jwt
import pytest
from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwk, jwt as jose_jwt
from joserfc.errors import BadSignatureError, InvalidClaimError
from jwt.algorithms import OKPAlgorithm

from tests.interop.issuers import Issuer

REQUIRED = ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"]


def spoiled(token: str) -> str:
    """Somebody else's words under our signature."""
    header, _, signature = token.split(".")
    return f"{header}.{jwt.utils.base64url_encode(b'{}').decode()}.{signature}"


def read_by_pyjwt(issuer: Issuer, token: str, audience: str | None = None):
    """Verify as the page docs/how-to/verify-elsewhere.md shows."""
    keys = jwt.PyJWKClient(issuer.metadata["jwks_uri"], ssl_context=issuer.trust)
    key = keys.get_signing_key_from_jwt(token)
    return jwt.decode(
        token, key, algorithms=[issuer.algorithm], issuer=issuer.url, audience=audience or issuer.url,
        options={"require": REQUIRED},
    )  # fmt: skip


class TestPyjwt:
    @pytest.mark.ids("ATP-01", "KEY-02")
    def test_a_token_is_accepted_with_the_published_keys(self, issuer):
        answer = issuer.sign_in(scope="read")
        if issuer.algorithm == "Ed25519":  # known to PyJWT under its older name only; the next test says what to do
            with pytest.raises(jwt.PyJWKSetError):
                read_by_pyjwt(issuer, answer["access_token"])
            return
        claims = read_by_pyjwt(issuer, answer["access_token"])
        assert (claims["scope"], claims["sid"]) == ("read", answer["session_id"])
        header = jwt.get_unverified_header(answer["access_token"])
        assert (header["typ"], header["alg"]) == ("at+jwt", issuer.algorithm)

    @pytest.mark.ids("ATP-01")
    def test_ed25519_is_accepted_where_its_newer_name_is_registered(self, issuer):
        if issuer.algorithm != "Ed25519":
            return
        jws = jwt.PyJWS()
        jws.register_algorithm("Ed25519", OKPAlgorithm())
        token = issuer.sign_in()["access_token"]
        kid = jwt.get_unverified_header(token)["kid"]
        key = next(key for key in issuer.keys["keys"] if key["kid"] == kid)
        claims = json.loads(jws.decode(token, jwt.PyJWK(key, "EdDSA").key, algorithms=["Ed25519"]))
        assert claims["iss"] == issuer.url
        with pytest.raises(jwt.InvalidSignatureError):
            jws.decode(spoiled(token), jwt.PyJWK(key, "EdDSA").key, algorithms=["Ed25519"])

    @pytest.mark.ids("ATP-01")
    def test_what_is_not_for_this_service_or_not_ours_is_refused(self, plain_issuer):
        token = plain_issuer.sign_in()["access_token"]
        with pytest.raises(jwt.InvalidAudienceError):
            read_by_pyjwt(plain_issuer, token, audience="https://other.example.org")
        with pytest.raises(jwt.InvalidSignatureError):
            read_by_pyjwt(plain_issuer, spoiled(token))


class TestJoserfc:
    def read(self, issuer, token, **wanted):
        keys = jwk.KeySet.import_key_set(issuer.keys)
        found = jose_jwt.decode(token, keys, algorithms=[issuer.algorithm])
        rules = {name: {"essential": True} for name in REQUIRED} | {"iss": {"essential": True, "value": issuer.url}}
        rules["aud"] = {"essential": True, "value": wanted.get("audience", issuer.url)}
        jose_jwt.JWTClaimsRegistry(**rules).validate(found.claims)
        return found

    @pytest.mark.ids("ATP-01", "KEY-02")
    def test_a_token_is_accepted_with_the_published_keys(self, issuer):
        found = self.read(issuer, issuer.sign_in(scope="write")["access_token"])
        assert found.claims["scope"] == "write"
        assert found.header["typ"] == "at+jwt"

    @pytest.mark.ids("ATP-01")
    def test_what_is_not_for_this_service_or_not_ours_is_refused(self, issuer):
        token = issuer.sign_in()["access_token"]
        with pytest.raises(InvalidClaimError):
            self.read(issuer, token, audience="https://other.example.org")
        with pytest.raises(BadSignatureError):
            self.read(issuer, spoiled(token))

    @pytest.mark.ids("KEY-01", "KEY-02")
    def test_the_published_keys_are_public_and_named_by_their_thumbprints(self, issuer):
        for key in issuer.keys["keys"]:
            assert key.keys().isdisjoint({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
            imported = jwk.import_key(key)
            assert not imported.is_private
            assert (key["kid"], key["use"], key["alg"]) == (imported.thumbprint(), "sig", issuer.algorithm)


class Validator(JWTBearerTokenValidator):
    """What Authlib asks a resource server to write."""

    def __init__(self, issuer, resource_server):
        super().__init__(issuer.url, resource_server)
        self._keys = jwk.KeySet.import_key_set(issuer.keys)

    def get_jwks(self):
        return self._keys


class TestAuthlib:
    @pytest.mark.ids("ATP-01")
    @pytest.mark.parametrize("transport", ["body", "cookie"])
    def test_the_validator_of_rfc_9068_accepts_a_token(self, issuer, transport):
        validator, token = Validator(issuer, issuer.url), issuer.sign_in(transport=transport)["access_token"]
        if issuer.algorithm == "Ed25519":  # not among those that its validator takes
            with pytest.raises(InvalidTokenError):
                validator.authenticate_token(token)
            return
        claims = validator.authenticate_token(token)
        validator.validate_token(claims, ["read"], None)
        assert claims["iss"] == issuer.url

    @pytest.mark.ids("ATP-01")
    def test_it_refuses_what_is_for_another_service(self, plain_issuer):
        validator = Validator(plain_issuer, "https://other.example.org")
        claims = validator.authenticate_token(plain_issuer.sign_in()["access_token"])
        with pytest.raises(InvalidTokenError):
            validator.validate_token(claims, [], None)

    @pytest.mark.ids("OA-05")
    def test_the_metadata_is_valid(self, either_issuer):
        metadata = AuthorizationServerMetadata(either_issuer.metadata)
        if either_issuer.url.startswith("https:"):
            metadata.validate()
        else:  # a server for trying things out; nothing but the scheme is wrong
            AuthorizationServerMetadata(json.loads(json.dumps(metadata).replace("http:", "https:"))).validate()
        assert metadata["issuer"] == either_issuer.url
        addresses = [value for name, value in metadata.items() if name.endswith(("_endpoint", "_uri"))]
        assert len(addresses) == 4
        assert all(address.startswith(either_issuer.url + "/auth/") for address in addresses)
        assert all(metadata.values()), "nothing is empty"


@pytest.mark.ids("OA-05", "KEY-02")
def test_an_issuer_with_a_path_behind_tls_is_found_where_rfc_8414_says(issuer_behind_tls):
    assert re.fullmatch(
        r"https://localhost:\d+/\.well-known/oauth-authorization-server/id", issuer_behind_tls.metadata_url
    )
    assert issuer_behind_tls.metadata["issuer"] == issuer_behind_tls.url
    claims = read_by_pyjwt(issuer_behind_tls, issuer_behind_tls.sign_in()["access_token"])
    assert claims["iss"] == issuer_behind_tls.url
