"""The application that the failure tests start, kill and start again; its files are where the environment says."""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from keyturn import Principal, Settings
from keyturn.events import Event
from keyturn.starlette import Keyturn


class Users:
    """Believes everybody: what is tested lies behind the door."""

    async def authenticate(self, username: str, password: str, request: object) -> Principal | None:
        return Principal(subject=username)

    async def load(self, subject: str) -> Principal | None:
        return Principal(subject=subject)


def write_down(fact: Event) -> None:
    """Leave the event's kind in a file, which outlives a kill."""
    with Path(os.environ["APP_EVENTS"]).open("a") as file:
        file.write(type(fact).__name__ + "\n")


auth = Keyturn(
    Settings(profile="development"),
    store=os.environ["APP_STORE"],
    keys=os.environ["APP_KEYS"],
    users=Users(),
    listeners=[write_down],
    throttle=None,  # a storm asks oftener than a limit allows, and longer on a slow machine
)


async def me(request: Request) -> JSONResponse:
    claims = await auth.required(request)
    return JSONResponse({"subject": claims.subject, "session": claims.session_id})


app = Starlette(routes=[Route("/me", me)])
auth.install(app)
