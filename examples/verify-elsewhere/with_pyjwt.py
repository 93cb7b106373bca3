import jwt

ISSUER = "https://id.example.org"
AUDIENCE = ISSUER
REQUIRED = ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"]
keys = jwt.PyJWKClient(f"{ISSUER}/auth/jwks.json", lifespan=300)


def caller(token):
    """Give the claims of an access token; jwt.PyJWTError where it is not good."""
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    key = keys.get_signing_key_from_jwt(token)
    return jwt.decode(
        token, key, algorithms=["ES256"], issuer=ISSUER, audience=AUDIENCE, leeway=30, options={"require": REQUIRED}
    )
