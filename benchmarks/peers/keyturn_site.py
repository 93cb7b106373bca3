"""``python -m benchmarks.peers.keyturn_site --port … --database postgresql://… --keys FOLDER``: Keyturn, as the others are.

Starlette in one uvicorn process, sessions in PostgreSQL or SQLite, everything as it comes but the profile `development`, which is
what loopback addresses without TLS are for. Several processes over one database and one folder are one service.
"""

from __future__ import annotations

import argparse

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from keyturn import Principal, Settings
from keyturn.starlette import Keyturn

from ..serving.postgresql import make_tables
from .people import parser, user_names


class Users:
    """Those whom all peers know.

    Args:
        names: theirs.
        password: that of each of them.
    """

    def __init__(self, names: list[str], password: str) -> None:
        self._names = frozenset(names)
        self._password = password

    async def authenticate(self, username: str, password: str, request: object) -> Principal | None:
        """Compare the password; hashing it is not what is measured."""
        return await self.load(username) if password == self._password else None

    async def load(self, subject: str) -> Principal | None:
        """Give whoever is known."""
        return Principal(subject=subject) if subject in self._names else None


def application(told: argparse.Namespace) -> Starlette:
    """Give the application, and make the tables."""
    if told.database.startswith("postgresql:"):  # a SQLite file makes its own
        make_tables(told.database)
    auth = Keyturn(
        Settings(profile="development", issuer=f"http://127.0.0.1:{told.issuer_port or told.port}"),
        store=told.database,
        keys=told.keys,
        users=Users(user_names(told.users), told.password),
        throttle=None if told.unthrottled else "default",
    )

    async def me(request: Request) -> JSONResponse:
        claims = await auth.required(request)
        return JSONResponse({"subject": claims.subject})

    app = Starlette(routes=[Route("/me", me)])
    auth.install(app)
    return app


def main() -> None:
    """Serve until SIGTERM."""
    understood = parser(__doc__)
    understood.add_argument("--database", required=True, metavar="URL", help="postgresql://… or sqlite:///…")
    understood.add_argument("--unthrottled", action="store_true", help="count nobody's sign-ins and refreshes")
    understood.add_argument("--keys", required=True, metavar="FOLDER", help="where the key ring is")
    understood.add_argument("--issuer-port", type=int, help="that of the process which names the issuer")
    told = understood.parse_args()
    uvicorn.run(application(told), host="127.0.0.1", port=told.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
