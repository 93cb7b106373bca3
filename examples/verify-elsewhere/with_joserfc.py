import json
import time
import urllib.request
from functools import lru_cache

from joserfc import jwt
from joserfc.errors import InvalidClaimError
from joserfc.jwk import KeySet

ISSUER = "https://id.example.org"
AUDIENCE = ISSUER
REQUIRED = ("sub", "client_id", "iat", "exp", "jti")


@lru_cache(maxsize=1)
def keys(_five_minutes):
    """Give the published keys; they change, so nobody keeps them longer than that."""
    with urllib.request.urlopen(f"{ISSUER}/auth/jwks.json", timeout=10) as answer:
        return KeySet.import_key_set(json.load(answer))


def caller(token):
    """Give the claims of an access token; a JoseError where it is not good."""
    found = jwt.decode(token, keys(time.monotonic() // 300), algorithms=["ES256"])
    if found.header.get("typ") != "at+jwt":
        raise InvalidClaimError("typ")
    rules = {name: {"essential": True} for name in REQUIRED}
    rules |= {"iss": {"essential": True, "value": ISSUER}, "aud": {"essential": True, "value": AUDIENCE}}
    jwt.JWTClaimsRegistry(leeway=30, **rules).validate(found.claims)
    return found.claims
