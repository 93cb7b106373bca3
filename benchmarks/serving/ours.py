"""Keyturn as an application has it: Starlette, our layer and routes, the embedded store."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette

from keyturn.keyrings.static import StaticKeys
from keyturn.starlette import Keyturn
from keyturn.stores.sqlite import SqliteStore

from .. import people


def application(path: Path, ring: StaticKeys) -> Starlette:
    """Give an application over a file of ours."""
    app = Starlette()
    Keyturn(people.settings(), store=SqliteStore(path), keys=ring, users=people.Users()).install(app)
    return app
