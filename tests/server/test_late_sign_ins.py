"""A sign-in that is held up while its account changes: its session is over before anybody has used it."""

import threading
from dataclasses import replace

import httpx
import pytest

from keyturn._colour import drive
from keyturn.server.app import App, build
from keyturn.server.config import ServerConfig, load
from keyturn.server.installation import Installation

OLD, NEW = "correct horse battery", "another horse entirely"


@pytest.fixture(params=["sqlite", "asyncpg", "pymysql"])
def config(request, tmp_path) -> ServerConfig:
    store = "sqlite:///keyturn.db"
    if request.param != "sqlite":
        engine = "postgresql" if request.param == "asyncpg" else "mariadb"
        scheme, _, rest = request.getfixturevalue(engine).new_database().partition("://")
        store = f"{scheme.partition('+')[0]}+{request.param}://{rest}"
    (tmp_path / "keyturn.toml").write_text(f'[server]\nstore = "{store}"\ncounters = "memory:"\n')
    read = load(here=tmp_path, environment={})
    with Installation(read) as installation:
        installation.prepare()
        installation.accounts.create("ana", password=OLD)
    return read


def changed(config: ServerConfig, what: str) -> None:
    """Write what another process has come to, after it ended the sessions that were there."""
    with Installation(config) as elsewhere:
        found = drive(elsewhere.records.find_account("ana"))
        after = {
            "suspended": replace(found, state="suspended"),
            "another password": replace(found, password_hash=drive(elsewhere.hashing.make(NEW))),
            "another role": replace(found, roles=frozenset({"read"})),
        }[what]
        assert drive(elsewhere.records.replace_account(after))


def held_up(app: App, config: ServerConfig, what: str) -> None:
    """Let the row of a new session wait until the account has changed."""
    store = app.installation.store

    def late(add):
        async def add_late(*given, **more):
            other = threading.Thread(target=changed, args=(config, what))
            other.start()
            other.join()
            return await add(*given, **more)

        return add_late

    for name in ("add", "add_among"):  # the store has the one alone, or both
        if hasattr(store, name):
            setattr(store, name, late(getattr(store, name)))


@pytest.mark.anyio
@pytest.mark.ids("SE-08", "RT-12")
@pytest.mark.parametrize(("what", "stands"), [("suspended", 401), ("another password", 401), ("another role", 200)])
async def test_a_session_whose_row_comes_after_its_account_changed_is_over_at_once(what, stands, config):
    app = build(config)
    held_up(app, config, what)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=config.settings.issuer) as client:
        asked = {"username": "ana", "password": OLD, "transport": "body"}
        answer = await client.post("/auth/login", json=asked)
        assert answer.status_code == 200
        tokens = answer.json()
        shown = await client.get("/auth/session", headers={"Authorization": f"Bearer {tokens['access_token']}"})
        refreshed = await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    await app.installation.aclose()
    assert (shown.status_code, refreshed.status_code) == (stands, stands)
