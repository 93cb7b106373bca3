"""The API that the page signs in to: `python -m uvicorn api:app`, on http://localhost:8000."""

import os
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from keyturn import Settings
from keyturn.fastapi import Keyturn
from keyturn.tokens import Claims
from keyturn.users import Principal


class Users:
    """One user; yours come from your database, their passwords as hashes."""

    def authenticate(self, username: str, password: str, _request: object) -> Principal | None:
        return self.load("u-1") if (username, password) == ("alice", "wonderland") else None

    def load(self, subject: str) -> Principal | None:
        return Principal(subject=subject) if subject == "u-1" else None


# The development profile: http on this machine only, cookies without Secure, pages of every loopback origin.
settings = Settings(profile="development", issuer=os.environ.get("ISSUER", "http://localhost:8000"))
auth = Keyturn(settings, store="sqlite:///keyturn.db", keys="keys", users=Users())

app = FastAPI()
auth.install(app)
app.add_middleware(CORSMiddleware, **auth.cors())


@app.get("/me")
async def me(claims: Annotated[Claims, Depends(auth.required)]) -> dict[str, str]:
    return {"subject": claims.subject}
