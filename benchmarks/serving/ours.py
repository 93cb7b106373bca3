"""Keyturn as an application has it: Starlette, our layer and routes, a store."""

from __future__ import annotations

from starlette.applications import Starlette

from keyturn.keyrings.static import StaticKeys
from keyturn.starlette import Keyturn
from keyturn.stores import SessionStore
from keyturn.throttle import Limits

from .. import people

#: Everything is counted as usual, but a session may refresh as often as it is measured.
LIMITS = Limits(refresh_per_session="9999999/minute")


def application(store: SessionStore | str, ring: StaticKeys) -> Starlette:
    """Give an application over a store or its address."""
    app = Starlette()
    Keyturn(people.settings(), store=store, keys=ring, users=people.Users(), throttle=LIMITS).install(app)
    return app
