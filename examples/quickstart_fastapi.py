"""A FastAPI application with sessions: ``uvicorn quickstart_fastapi:app``, then its page, ``curl.sh``, or /docs."""

from hashlib import scrypt
from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse

from keyturn import Claims, Principal, Settings
from keyturn.fastapi import Keyturn

# A toy. Yours asks your database, with a salt for each user. Name: (id that never changes, hash of the password)
PEOPLE = {"ada": ("user-1", scrypt(b"lovelace", salt=b"toy", n=2**14, r=8, p=5))}


class Users:
    def authenticate(self, username: str, password: str, request: object) -> Principal | None:
        subject, kept = PEOPLE.get(username, ("", b""))
        given = scrypt(password.encode(), salt=b"toy", n=2**14, r=8, p=5)  # an unknown name takes as long
        return self.load(subject) if compare_digest(given, kept) else None

    def load(self, subject: str) -> Principal | None:
        return Principal(subject=subject) if subject in (known for known, _ in PEOPLE.values()) else None


app = FastAPI()
auth = Keyturn(Settings(profile="development"), store="sqlite:///app.db", keys="keys", users=Users())
auth.install(app)
app.add_route("/", lambda _: FileResponse("quickstart.html"))  # signs in with the browser client


@app.get("/me")
async def me(claims: Annotated[Claims, Depends(auth.required)]) -> dict[str, str]:
    return {"subject": claims.subject}
