from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from keyturn import UNCHECKED, Claims, KeyturnError, ScopeError, Settings, TokenMissingError, Verifier
from keyturn.remote import RemoteKeys

ISSUER = "https://id.example.org"
AUDIENCE = ISSUER
keys = RemoteKeys(f"{ISSUER}/auth/jwks.json")
verifier = Verifier(Settings(issuer=ISSUER, audience=AUDIENCE), keys)
app = FastAPI()


async def caller(request: Request) -> Claims:
    """Give the claims of whoever sent a request."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise TokenMissingError
    await keys.ready()
    return verifier.verify(token, binding=UNCHECKED)


@app.exception_handler(KeyturnError)
async def refuse(_request: Request, error: KeyturnError) -> JSONResponse:
    headers = dict(error.headers)
    if error.status == 401:
        anonymous = isinstance(error, TokenMissingError)
        headers["WWW-Authenticate"] = "Bearer" if anonymous else 'Bearer error="invalid_token"'
    return JSONResponse({"code": error.code, "detail": error.message}, error.status, headers)


@app.get("/orders")
async def orders(claims: Annotated[Claims, Depends(caller)]) -> dict[str, str]:
    if "read" not in claims.scope:
        raise ScopeError(["read"])
    return {"orders of": claims.subject}
