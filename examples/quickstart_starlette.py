"""A Starlette application with sessions: ``uvicorn quickstart_starlette:app``, then ``curl.sh``."""

from hashlib import scrypt
from hmac import compare_digest

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse

from keyturn import Principal, Settings
from keyturn.starlette import Keyturn

# A toy. Yours asks your database, with a salt for each user. Name: (id that never changes, hash of the password)
PEOPLE = {"ada": ("user-1", scrypt(b"lovelace", salt=b"toy", n=2**14, r=8, p=5))}


class Users:
    def authenticate(self, username: str, password: str, request: object) -> Principal | None:
        subject, kept = PEOPLE.get(username, ("", b""))
        given = scrypt(password.encode(), salt=b"toy", n=2**14, r=8, p=5)  # an unknown name takes as long
        return self.load(subject) if compare_digest(given, kept) else None

    def load(self, subject: str) -> Principal | None:
        return Principal(subject=subject) if subject in (known for known, _ in PEOPLE.values()) else None


auth = Keyturn(Settings(profile="development"), store="sqlite:///app.db", keys="keys", users=Users())


async def me(request: Request) -> JSONResponse:
    claims = await auth.required(request)
    return JSONResponse({"subject": claims.subject})


app = Starlette()
app.add_route("/me", me)
auth.install(app)
