"""What ``app.config`` says of Keyturn, and what is wrong with it."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from keyturn.errors import ConfigurationError
from keyturn.flask import Keyturn
from keyturn.settings import CookieSettings, Settings
from keyturn.stores.memory import MemoryStore
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing import testing_keys
from keyturn.throttle import NoThrottle
from tests.support.flask_site import sign_in, visitor
from tests.support.front import Members

GOOD = {"KEYTURN_ISSUER": "https://id.example.org", "KEYTURN_STORE": "memory:", "KEYTURN_KEYS": testing_keys()}


def configured(folder=None, **config):
    app = Flask("shop", instance_path=str(folder) if folder else None)
    app.config.update(config)
    return app, Keyturn(app, users=Members())


def test_settings_come_from_the_configuration():
    _, auth = configured(
        **GOOD, KEYTURN_LEEWAY="5s", KEYTURN_ORIGINS="https://a.example.org, https://b.example.org",
        KEYTURN_MAX_SESSIONS="7", KEYTURN_SLIDING="false", KEYTURN_IDLE_LIFETIME=timedelta(days=2),
        KEYTURN_COOKIE__SUFFIX="shop", KEYTURN_PREFIX="/session",
    )  # fmt: skip
    assert auth.settings == Settings(
        issuer="https://id.example.org", leeway=timedelta(seconds=5), max_sessions=7, sliding=False,
        origins=("https://a.example.org", "https://b.example.org"), idle_lifetime=timedelta(days=2),
        cookie=CookieSettings(suffix="shop"), prefix="/session",
    )  # fmt: skip


def test_the_tables_that_flask_makes_of_prefixed_variables_are_read(monkeypatch):
    monkeypatch.setenv("FLASK_KEYTURN_COOKIE__SUFFIX", "shop")
    monkeypatch.setenv("FLASK_KEYTURN_ACCESS_TOKEN_LIFETIME", "60")
    monkeypatch.setenv("FLASK_KEYTURN_PROFILE", "strict")
    app = Flask("shop")
    app.config.update(GOOD)
    app.config.from_prefixed_env()
    settings = Keyturn(app, users=Members()).settings
    assert (settings.cookie.suffix, settings.max_sessions) == ("shop", 1)
    assert settings.access_token_lifetime == timedelta(seconds=60)


@pytest.mark.parametrize("order", [1, -1])
def test_a_cookie_table_and_single_names_of_it_add_up(order):
    names = {"KEYTURN_COOKIE": {"suffix": "shop"}, "KEYTURN_COOKIE__ACCESS_IN_COOKIE": True}
    _, auth = configured(**GOOD, **dict([*names.items()][::order]))
    assert auth.settings.cookie == CookieSettings(suffix="shop", access_in_cookie=True)


def test_all_faults_are_told_at_once():
    app = Flask("shop")
    app.config.update(
        KEYTURN_ISUER="https://id.example.org", KEYTURN_LEEWAY="soon", KEYTURN_COOKIE__SUFIX="x",
        KEYTURN_STORE="mongo://x", KEYTURN_MAX_SESSIONS="0", KEYTURN_COOKIE={"same_sight": "Lax"},
    )  # fmt: skip
    with pytest.raises(ConfigurationError) as told:
        Keyturn(app)
    said = "\n".join(told.value.faults)
    for fault in (
        r"KEYTURN_ISUER is no setting \(did you mean KEYTURN_ISSUER\?\)",
        r"KEYTURN_COOKIE__SUFIX is no setting \(did you mean KEYTURN_COOKIE__SUFFIX\?\)",
        r"cookie\.same_sight is no setting \(did you mean same_site\?\)",
        r"KEYTURN_LEEWAY: leeway is 'soon'",
        r"KEYTURN_MAX_SESSIONS: max_sessions",
        r"no store is known for 'mongo'",
        r"users is missing: give Keyturn\(users=…\)",
        r"keys is missing: set KEYTURN_KEYS",
        r"issuer",
    ):
        assert re.search(fault, said), (fault, said)


def test_an_address_that_awaits_is_refused_with_the_one_to_write():
    with pytest.raises(ConfigurationError, match=r"postgresql\+asyncpg:// awaits.*write postgresql://"):
        configured(**{**GOOD, "KEYTURN_STORE": "postgresql+asyncpg://x/y"})


def test_names_in_two_cases_are_told():
    with pytest.raises(ConfigurationError, match="given twice"):
        configured(**GOOD, KEYTURN_realm="a", KEYTURN_REALM="b")


def test_the_code_wins_and_explicit_settings_leave_the_configurations_unread():
    app = Flask("shop")
    app.config.update(GOOD, KEYTURN_LEEWAY="nonsense")
    store = MemoryStore()
    auth = Keyturn(app, Settings(profile="testing"), users=Members(), store=store)
    assert auth.settings.issuer == "https://testserver"
    assert auth.store is store


def test_a_second_keyturn_reads_names_of_its_own():
    app = Flask("shop")
    app.config.update(GOOD, STAFF_KEYTURN_REALM="staff", STAFF_KEYTURN_PREFIX="/staff")
    app.config.update({f"STAFF_{name}": value for name, value in GOOD.items()})
    shop, staff = Keyturn(app, users=Members()), Keyturn(app, users=Members(), config_prefix="STAFF_KEYTURN_")
    assert (shop.settings.realm, staff.settings.realm, staff.settings.prefix) == ("default", "staff", "/staff")


def test_relative_places_are_below_the_instance_folder(tmp_path, monkeypatch):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    folder = tmp_path / "instance"
    config = {**GOOD, "KEYTURN_STORE": "sqlite:///shop.db", "KEYTURN_KEYS": "keys", "KEYTURN_THROTTLE": "store"}
    app, auth = configured(folder, **config)
    sign_in(visitor(app))
    auth.close()
    assert {path.name for path in folder.iterdir()} >= {"shop.db", "shop.db.throttle", "keys"}
    assert list(elsewhere.iterdir()) == []


def test_a_throttles_file_is_below_the_instance_folder_too(tmp_path):
    app, auth = configured(tmp_path, **GOOD, KEYTURN_THROTTLE="sqlite:///counters.db")
    sign_in(visitor(app))
    auth.close()
    assert (tmp_path / "counters.db").exists()


def test_absolute_places_stay_where_they_are(tmp_path):
    folder = tmp_path / "instance"
    app, auth = configured(
        folder, **{**GOOD, "KEYTURN_STORE": f"sqlite:///{tmp_path}/shop.db", "KEYTURN_KEYS": Path(tmp_path, "keys")}
    )
    sign_in(visitor(app))
    assert isinstance(auth.store, SqliteStore)
    auth.close()
    assert (tmp_path / "shop.db").exists()
    assert (tmp_path / "keys").is_dir()
    assert not folder.exists()


def test_the_throttle_and_the_proxies_are_configured_too():
    _, auth = configured(**GOOD, KEYTURN_TRUSTED_PROXIES="192.0.2.1, unix")
    assert auth.service.parts.inputs.proxies.sockets
    app = Flask("shop")
    app.config.update(GOOD)
    assert isinstance(Keyturn(app, users=Members(), throttle=None).service.throttle, NoThrottle)


def test_store_keys_and_users_may_be_given_in_the_factory():
    auth = Keyturn()
    app = Flask("shop")
    app.config.update(KEYTURN_ISSUER="https://id.example.org")
    store, users = MemoryStore(), Members()
    auth.init_app(app, users=users, store=store, keys=testing_keys())
    assert (auth.store, auth.users) == (store, users)


def test_a_refused_configuration_leaves_the_application_as_it_was():
    app = Flask("shop")
    before = app.wsgi_app
    auth = Keyturn()
    with pytest.raises(ConfigurationError):
        auth.init_app(app)
    assert app.wsgi_app == before
    app.config.update(GOOD)
    auth.init_app(app, users=Members())
    assert visitor(app).get("/auth/jwks.json").status_code == 200
