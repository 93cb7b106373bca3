"""The application that is tortured; what it is like stands in the environment, so that every worker is alike."""

import json
import os
from dataclasses import replace
from functools import partial
from threading import Timer
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from keyturn import Principal, Settings, _policy
from keyturn._policy import Reissue, Reuse
from keyturn.limits import Limits
from keyturn.starlette import Keyturn
from keyturn.stores import open as open_store
from tests.testing.torture.serving import PASSWORD


class Users:
    """Everybody with the right password."""

    async def authenticate(self, username: str, password: str, request: object) -> Principal | None:
        return Principal(subject=username) if password == PASSWORD else None

    async def load(self, subject: str) -> Principal | None:
        return Principal(subject=subject)


def broken(store: Any, how: str) -> Any:
    """Break a promise in the store, so that the torture has something to find."""
    if how == "deaf":  # ends are done, and nobody else hears of it: the log is never read
        read = store.revocations

        async def nothing(after: Any) -> Any:
            return replace(await read(after), entries=())

        store.revocations = nothing
    elif how == "undead":  # ends are promised and not done
        store.end = _promised
    elif how == "patient":  # a token two generations old is taken for one that is one generation old
        _policy.decide_refresh = partial(_patiently, _policy.decide_refresh)
    elif how == "mortal":  # it dies in the middle of a run
        mortal = Timer(float(os.environ["APP_LIFE"]), os._exit, [1])
        mortal.daemon = True
        mortal.start()
    return store


def _patiently(decide: Any, session: Any, *rest: Any, **more: Any) -> Any:
    decision = decide(session, *rest, **more)
    return Reissue(session.generation) if isinstance(decision, Reuse) else decision


async def _promised(ids: Any, **_rest: Any) -> Any:
    return ()


auth = Keyturn(
    Settings.from_mapping({"profile": "development", **json.loads(os.environ.get("APP_SETTINGS", "{}"))}),
    store=broken(open_store(os.environ["APP_STORE"]), os.environ.get("APP_BROKEN", "")),
    keys=os.environ["APP_KEYS"],
    users=Users(),
    # "" counts nobody: the fleet shares one address and few names
    throttle=Limits(refresh_per_session=os.environ["APP_THROTTLE"]) if os.environ.get("APP_THROTTLE") else None,
)


async def me(request: Request) -> JSONResponse:
    claims = await auth.required(request)
    return JSONResponse({"subject": claims.subject})


app = Starlette(routes=[Route("/me", me)])
auth.install(app)
