from keyturn import UNCHECKED, Settings, Verifier
from keyturn.remote import RemoteKeys

ISSUER = "https://id.example.org"
AUDIENCE = ISSUER
keys = RemoteKeys(f"{ISSUER}/auth/jwks.json")
verifier = Verifier(Settings(issuer=ISSUER, audience=AUDIENCE), keys)


def caller(token):
    """Give the claims of an access token; keyturn.KeyturnError where it is not good."""
    return verifier.verify(token, binding=UNCHECKED)
