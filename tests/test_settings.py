"""Settings: the edge of every value, what contradicts what, and that each of them is read by somebody."""

import ast
import re
from dataclasses import FrozenInstanceError, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import keyturn
from keyturn._validation import CHOICES, DURATIONS, Unreadable, shown, spelled
from keyturn.errors import ConfigurationError
from keyturn.settings import (
    ACCESS_TOKEN_CEILING,
    LEEWAY_CEILING,
    SESSION_CEILING,
    SETTING_NAMES,
    SKEW_CEILING,
    CookieSettings,
    Settings,
    is_loopback,
    origin_of,
)

ISSUER = "https://app.example.org"
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def made(**values: Any) -> Settings:
    return Settings(**{"issuer": ISSUER, **values})


def faults(**values: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as refused:
        made(**values)
    return refused.value.faults


# --- what is left out ------------------------------------------------------------------------------------------------


def test_an_issuer_is_enough() -> None:
    settings = Settings(issuer=ISSUER)
    assert {name: getattr(settings, name) for name in SETTING_NAMES} == {
        "issuer": ISSUER,
        "audience": ISSUER,
        "realm": "default",
        "profile": "browser",
        "access_token_lifetime": timedelta(minutes=5),
        "idle_lifetime": 30 * DAY,
        "session_lifetime": 90 * DAY,
        "sliding": True,
        "leeway": timedelta(seconds=10),
        "recovery_window": 30 * DAY,
        "clock_skew": timedelta(seconds=30),
        "max_sessions": 50,
        "on_limit": "end_oldest",
        "recent_auth": timedelta(minutes=15),
        "transports": ("cookie", "body"),
        "binding": "cookie",
        "cookie": CookieSettings(suffix="", access_in_cookie=False, same_site="Strict", partitioned=False),
        "origins": (),
        "algorithm": "ES256",
        "staleness_bound": timedelta(seconds=5),
        "prefix": "/auth",
        "docs_login": False,
        "wire_format": "standard",
    }


@pytest.mark.parametrize(
    ("profile", "differences"),
    [
        ("browser", {}),
        ("testing", {}),
        ("native", {"idle_lifetime": 90 * DAY, "session_lifetime": 365 * DAY, "transports": ("body", "cookie")}),
        (
            "strict",
            {
                "idle_lifetime": timedelta(minutes=15),
                "session_lifetime": timedelta(hours=12),
                "leeway": timedelta(0),
                "recovery_window": timedelta(0),
                "max_sessions": 1,
            },
        ),
    ],
)
def test_a_profile_is_a_starting_point(profile: str, differences: dict[str, Any]) -> None:
    if "idle_lifetime" in differences:
        differences = {"recovery_window": differences["idle_lifetime"], **differences}
    settings = made(profile=profile)
    for name in set(SETTING_NAMES) - {"profile"}:
        assert getattr(settings, name) == differences.get(name, getattr(made(), name)), name


@pytest.mark.parametrize(
    ("profile", "issuer"), [("development", "http://localhost:8000"), ("testing", "https://testserver")]
)
def test_two_profiles_know_an_issuer(profile: Any, issuer: str) -> None:
    assert Settings(profile=profile).issuer == issuer


@pytest.mark.parametrize("profile", ["browser", "native", "strict"])
def test_the_other_profiles_ask_for_an_issuer(profile: Any) -> None:
    with pytest.raises(ConfigurationError, match="issuer is missing"):
        Settings(profile=profile)


@pytest.mark.parametrize("profile", CHOICES["profile"])
def test_every_profile_is_refined_by_the_other_arguments(profile: str) -> None:
    settings = Settings(
        issuer="https://localhost", profile=profile, leeway=3 * SECOND, max_sessions=7, transports=["body"],
        idle_lifetime=2 * SECOND, session_lifetime=9 * DAY, recovery_window=4 * SECOND, access_token_lifetime=SECOND,
    )  # fmt: skip
    assert (settings.leeway, settings.max_sessions, settings.transports) == (3 * SECOND, 7, ("body",))
    assert (settings.idle_lifetime, settings.session_lifetime) == (2 * SECOND, 9 * DAY)
    assert (settings.recovery_window, settings.access_token_lifetime) == (4 * SECOND, SECOND)


def test_what_is_derived_follows_what_it_is_derived_from() -> None:
    assert made(idle_lifetime=3 * DAY).recovery_window == 3 * DAY
    assert made(issuer="https://b.example").audience == "https://b.example"
    assert made(audience="api").audience == "api"
    assert made(recovery_window=timedelta(0)).recovery_window == timedelta(0)


# --- the edge of every value -----------------------------------------------------------------------------------------

LONG = {"session_lifetime": SESSION_CEILING, "idle_lifetime": SESSION_CEILING}
EDGES = [
    ("access_token_lifetime", SECOND, ACCESS_TOKEN_CEILING),
    ("idle_lifetime", SECOND, SESSION_CEILING),
    ("session_lifetime", SECOND, SESSION_CEILING),
    ("leeway", timedelta(0), LEEWAY_CEILING),
    ("recovery_window", timedelta(0), SESSION_CEILING),
    ("clock_skew", timedelta(0), SKEW_CEILING),
    ("recent_auth", timedelta(0), SESSION_CEILING),
    ("staleness_bound", timedelta(milliseconds=1), ACCESS_TOKEN_CEILING),
]


def around(name: str, value: timedelta) -> dict[str, Any]:
    """The other values that let this one stand at its edge."""
    others: dict[str, Any] = {**LONG, "leeway": timedelta(0), "access_token_lifetime": SECOND}
    if name == "session_lifetime":
        others["idle_lifetime"] = min(value, SECOND)
    return {**others, name: value}


@pytest.mark.ids("ATP-07", "CK-04", "TOK-11")
@pytest.mark.parametrize(("name", "floor", "ceiling"), EDGES)
def test_a_duration_may_reach_its_edges_and_not_pass_them(name: str, floor: timedelta, ceiling: timedelta) -> None:
    for edge in (floor, ceiling):
        assert getattr(made(**around(name, edge)), name) == edge
    tick = timedelta.resolution
    below, above = faults(**around(name, floor - tick)), faults(**around(name, ceiling + tick))
    assert any(fault.startswith(f"{name} is ") and "at least" in fault for fault in below)
    assert any(fault.startswith(f"{name} is ") and "at most" in fault for fault in above)


def test_every_duration_has_edges() -> None:
    assert {name for name, _, _ in EDGES} == set(DURATIONS)
    assert {item.name for item in fields(Settings) if item.type == "timedelta"} == set(DURATIONS)


GOOD: list[tuple[str, list[Any]]] = [
    ("issuer", ["https://a.example", "https://a.example/", "https://a.example:8443/x/y", "https://[::1]",
                "http://localhost:5000", "http://127.0.0.1", "http://[::1]:80", "http://app.localhost", "https://A.example"]),
    ("audience", ["api", "https://api.example", "x" * 300]),
    ("realm", ["default", "a", "0", "admin-2_b", "a" * 32]),
    ("profile", ["browser", "native", "strict", "testing"]),
    ("sliding", [True, False]),
    ("max_sessions", [1, 10**6]),
    ("on_limit", ["end_oldest", "refuse"]),
    ("transports", [("cookie",), ["body"], ("body", "cookie"), ["cookie", "body"]]),
    ("binding", ["cookie", "none"]),
    ("cookie", [CookieSettings(), CookieSettings(suffix="a" * 32), CookieSettings(same_site="Lax"),
                CookieSettings(same_site="None", partitioned=True), CookieSettings(access_in_cookie=True)]),
    ("origins", [[], ["https://a.example"], ("https://a.example:8443", "http://localhost:3000", "https://[::1]"),
                 ["https://xn--bcher-kva.example"]]),
    ("algorithm", ["ES256", "Ed25519", "RS256"]),
    ("prefix", ["/auth", "/a/b/c", "/.well-known/x", "/~a_b-c.d"]),
    ("docs_login", [True, False]),
    ("wire_format", ["standard"]),
]  # fmt: skip
BAD: list[tuple[str, list[Any]]] = [
    ("issuer", [None, "", 3, b"https://a.example", "a.example", "//a.example", "ftp://a.example", "https://", "https://:443",
                "https://a.example?x", "https://a.example/#", "https://u:p@a.example", "https://@a.example", "http://a.example",
                "http://10.0.0.1", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "https://a b.example",
                "https://a.exa\nmple", "https://a.example\t", " https://a.example", "https://b\u00fccher.example",
                "https://a.example:99999", "https://a.example:x", "https://[::1", "https://*.a.example", "null"]),
    ("audience", ["", 3, ["api"]]),
    ("realm", ["", "A", "a b", "a;b", "-a", "_a", "a" * 33, "a\n", "\u00e9", 3, None]),
    ("profile", ["", "Browser", "prod", 3, ["browser"], None]),
    ("sliding", [1, 0, "true", None]),
    ("max_sessions", [0, -1, True, 1.5, "50"]),
    ("on_limit", ["", "end_newest", True]),
    ("transports", [(), ("cookie", "cookie"), ("header",), "cookie", ("cookie", 3), {"cookie"}]),
    ("binding", ["", "None", None]),
    ("cookie", [None, {}, CookieSettings(suffix="A"), CookieSettings(suffix="a b"), CookieSettings(suffix="a;"),
                CookieSettings(suffix="a" * 33), CookieSettings(suffix=3), CookieSettings(suffix="a\n"),
                CookieSettings(same_site="strict"), CookieSettings(same_site=None), CookieSettings(same_site="None"),
                CookieSettings(partitioned=True), CookieSettings(same_site="Lax", partitioned=True),
                CookieSettings(access_in_cookie="yes"), CookieSettings(same_site="None", partitioned="yes")]),
    ("origins", ["https://a.example", ["https://a.example/"], ["https://a.example:443"], ["HTTPS://a.example"],
                 ["https://A.example"], ["*"], ["null"], ["https://*.a.example"], ["http://a.example"], ["a.example"], [None],
                 ["https://u@a.example"], ["https://a.example?"], ["https://a.example#"], ["https://b\u00fccher.example"], [""]]),
    ("algorithm", ["HS256", "none", "es256", "", None]),
    ("prefix", ["", "/", "auth", "/auth/", "//auth", "/a//b", "/a b", "/%61", "/../a", "/a/..", "/.", "/a\n", "/\u00e9", 3, None]),
    ("docs_login", [1, "no", None]),
    ("wire_format", ["lexik", "", None]),
    *((name, [3, 3.0, "3s", None] if name not in {"access_token_lifetime", "idle_lifetime", "session_lifetime", "leeway", "recovery_window"} else [3, 3.0, "3s"]) for name in DURATIONS),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in GOOD for value in values])
def test_a_good_value_is_taken_as_it_is(name: str, value: Any) -> None:
    taken = getattr(made(**{name: value}), name)
    assert taken == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.ids("M54")
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD for value in values])
def test_a_bad_value_is_told_once_and_by_its_name(name: str, value: Any) -> None:
    (fault,) = faults(**{name: value})
    assert fault.partition(" ")[0].partition(".")[0] == name


def test_every_setting_has_good_and_bad_values_here() -> None:
    assert {name for name, _ in GOOD} | set(DURATIONS) == set(SETTING_NAMES)
    assert {name for name, _ in BAD} == set(SETTING_NAMES)


# --- all faults at once ----------------------------------------------------------------------------------------------


@pytest.mark.ids("M54")
def test_all_faults_are_told_at_once() -> None:
    wrong: dict[str, Any] = {name: object() for name in SETTING_NAMES}
    assert {fault.partition(" ")[0] for fault in faults(**wrong)} == set(SETTING_NAMES)


@pytest.mark.ids("M54")
def test_a_wrong_type_hides_no_other_fault() -> None:
    told = faults(
        leeway="x", max_sessions=0, prefix="auth", origins=["*", "http://a.example"], cookie=CookieSettings(suffix="A")
    )
    assert [fault.partition(" ")[0] for fault in told] == [
        "leeway",
        "prefix",
        "max_sessions",
        "cookie.suffix",
        "origins",
        "origins",
    ]


def test_the_message_of_the_error_lists_every_fault() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings(realm="A", max_sessions=0)
    assert str(refused.value).splitlines() == [
        "Keyturn cannot be built:",
        *(f"  - {fault}" for fault in refused.value.faults),
    ]
    assert len(refused.value.faults) == 3


@pytest.mark.ids("M54")
@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"idle_lifetime": 91 * DAY}, ["idle_lifetime", "session_lifetime"]),
        ({"session_lifetime": DAY}, ["idle_lifetime", "session_lifetime"]),
        (
            {"session_lifetime": 60 * SECOND, "idle_lifetime": 60 * SECOND, "leeway": SECOND},
            ["access_token_lifetime", "session_lifetime"],
        ),
        ({"idle_lifetime": 299 * SECOND}, ["access_token_lifetime", "idle_lifetime"]),
        ({"recovery_window": 9 * SECOND}, ["recovery_window", "leeway"]),
        (
            {"transports": ["body"], "cookie": CookieSettings(access_in_cookie=True)},
            ["cookie.access_in_cookie", "transports"],
        ),
        ({"cookie": CookieSettings(same_site="None")}, ["cookie.same_site", "cookie.partitioned"]),
        ({"cookie": CookieSettings(partitioned=True)}, ["cookie.partitioned", "cookie.same_site"]),
    ],
)
def test_a_contradiction_names_both_sides(values: dict[str, Any], names: list[str]) -> None:
    (fault,) = faults(**values)
    assert all(name in fault for name in names)


@pytest.mark.parametrize(
    "values",
    [
        {"idle_lifetime": 90 * DAY, "session_lifetime": 90 * DAY},
        {"idle_lifetime": timedelta(minutes=5)},
        {"recovery_window": timedelta(0)},
        {"recovery_window": 10 * SECOND},
        {"session_lifetime": timedelta(minutes=5), "idle_lifetime": timedelta(minutes=5)},
    ],
)
def test_what_just_agrees_is_no_contradiction(values: dict[str, Any]) -> None:
    assert made(**values) == made(**values)


# --- development -----------------------------------------------------------------------------------------------------


@pytest.mark.ids("CK-12")
@pytest.mark.parametrize(
    "issuer", ["http://localhost", "http://localhost:8000", "https://localhost", "http://127.0.0.1:1", "http://[::1]:1",
               "http://app.localhost:3000"],
)  # fmt: skip
def test_development_drops_the_prefix_on_loopback(issuer: str) -> None:
    settings = Settings(issuer=issuer, profile="development", origins=["http://localhost:5173"])
    assert settings.development
    assert settings.cookie_names == {"kt_refresh", "kt_bind", "kt_access"}


@pytest.mark.ids("CK-12", "M54")
@pytest.mark.parametrize(
    "issuer", ["https://a.example", "https://localhost.a.example", "https://127.0.0.1.a.example", "https://10.0.0.1",
               "https://notlocalhost"],
)  # fmt: skip
def test_development_is_refused_anywhere_else(issuer: str) -> None:
    (fault,) = faults(issuer=issuer, profile="development")
    assert fault.startswith("profile is development")


@pytest.mark.ids("CK-12", "M54")
def test_development_takes_loopback_origins_only() -> None:
    (fault,) = faults(
        issuer="http://localhost", profile="development", origins=["https://a.example", "http://localhost:1"]
    )
    assert fault.startswith("origins has 'https://a.example'")


@pytest.mark.ids("CK-12")
@pytest.mark.parametrize("profile", ["browser", "native", "strict", "testing"])
def test_no_other_profile_drops_the_prefix(profile: str) -> None:
    settings = made(issuer="http://localhost:8000", profile=profile)
    assert not settings.development
    assert all(name.startswith("__Host-Http-kt_") for name in settings.cookie_names)


@pytest.mark.ids("CK-11")
def test_development_cannot_be_embedded() -> None:
    embedded = CookieSettings(same_site="None", partitioned=True)
    (fault,) = faults(issuer="http://localhost", profile="development", cookie=embedded)
    assert fault.startswith("cookie.same_site")


# --- as a value ------------------------------------------------------------------------------------------------------


def test_equal_settings_are_equal_and_hash_alike() -> None:
    one, other = made(origins=["https://b.example"]), made(origins=("https://b.example",))
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other, made()}) == 2


@pytest.mark.parametrize("name", [name for name, values in GOOD if len(values) > 1])
def test_settings_that_differ_in_one_field_differ(name: str) -> None:
    first, second = next((values[0], values[1]) for known, values in GOOD if known == name)
    assert made(**{name: first}) != made(**{name: second})


def test_settings_cannot_be_changed() -> None:
    settings = made()
    with pytest.raises(FrozenInstanceError):
        settings.leeway = SECOND  # type: ignore[misc]
    with pytest.raises((FrozenInstanceError, TypeError, AttributeError)):
        settings.leway = SECOND  # type: ignore[attr-defined]


def test_replacing_a_field_checks_the_whole_again() -> None:
    settings = made(realm="a")
    changed = replace(settings, realm="b", leeway=2 * SECOND)
    assert (changed.realm, changed.leeway, changed.refresh_cookie) == ("b", 2 * SECOND, "__Host-Http-kt_refresh_b")
    assert replace(changed, realm="a", leeway=settings.leeway) == settings
    with pytest.raises(ConfigurationError):
        replace(settings, leeway=61 * SECOND)


def test_an_unknown_argument_is_refused_by_python_itself() -> None:
    with pytest.raises(TypeError, match="leway"):
        made(leway=SECOND)


# --- what a fault shows ----------------------------------------------------------------------------------------------


@pytest.mark.ids("ST-01", "KEY-06")
@pytest.mark.parametrize(
    "secret", ["https://user:hunter2@a.example/x y", "kt1." + "A" * 72, "eyJhbGciOiJFUzI1NiJ9.e30.x", "0123456789abcdef" * 4, "x " * 99],
)  # fmt: skip
@pytest.mark.parametrize("name", ["issuer", "origins", "profile", "algorithm"])
def test_a_value_that_may_be_a_secret_is_not_shown(name: str, secret: str) -> None:
    for fault in faults(**{name: [secret] if name == "origins" else secret}):
        assert secret not in fault
        assert "hunter2" not in fault


@given(value=st.one_of(st.text(), st.binary(), st.integers(), st.none()))
def test_what_is_shown_is_short_and_printable(value: object) -> None:
    assert len(shown(value)) <= 60
    assert shown(value).isprintable()


def test_an_unreadable_value_tells_its_own_fault_in_its_place() -> None:
    assert faults(leeway=Unreadable("leeway is 'soon': write a duration"), max_sessions=0) == (
        "leeway is 'soon': write a duration",
        "max_sessions is below 1: nobody could sign in",
    )


@pytest.mark.parametrize(
    ("duration", "text"),
    [(90 * DAY, "90d"), (timedelta(hours=36), "36h"), (timedelta(minutes=90), "90m"), (61 * SECOND, "61s"),
     (timedelta(0), "0s"), (timedelta(milliseconds=500), "0.5s"), (-SECOND, "-1s")],
)  # fmt: skip
def test_a_duration_is_spelled_as_the_file_writes_it(duration: timedelta, text: str) -> None:
    assert spelled(duration) == text


# --- origins ---------------------------------------------------------------------------------------------------------


@pytest.mark.ids("XS-05")
@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example", "https://a.example"),
        ("https://A.Example:443/x?y#z", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("https://a.example:80", "https://a.example:80"),
        ("http://[::1]:8000/x", "http://[::1]:8000"),
        ("https://u:p@a.example", "https://a.example"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.ids("CK-12")
@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("a.localhost", True), (None, False), ("", False),
     ("localhost.a.example", False), ("notlocalhost", False), ("127.0.0.1.a.example", False), ("0.0.0.0", False)],
)  # fmt: skip
def test_loopback_is_this_machine_and_nothing_that_looks_like_it(host: str | None, loopback: bool) -> None:
    assert is_loopback(host) is loopback


# --- every setting is read by somebody -------------------------------------------------------------------------------

SOURCES = Path(keyturn.__file__).parent
#: Those that define, read in or judge settings do not count as using them.
OWN = {"settings.py", "_validation.py", "_reading.py", "_loading.py"}
#: Who stands for a setting: what is derived from it in ``Settings`` itself.
THROUGH = {
    "profile": {"development"},
    "cookie.suffix": {"refresh_cookie", "binding_cookie", "access_cookie", "cookie_names"},
}


def read_in(tree: ast.AST) -> set[str]:
    """What code reads of settings, below whatever name ends in that word: ``leeway``, ``cookie``, ``cookie.suffix``."""
    paths = (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {match[1] for path in paths if (match := re.search(r"(?:^|[._])settings\.([a-z_]+(?:\.[a-z_]+)?)$", path))}


@pytest.fixture(scope="module")
def read() -> set[str]:
    files = (path for path in SOURCES.rglob("*.py") if path.name not in OWN)
    return set().union(*(read_in(ast.parse(path.read_text())) for path in files))


EVERY = [*SETTING_NAMES, *(f"cookie.{item.name}" for item in fields(CookieSettings))]


@pytest.mark.ids("M53")
@pytest.mark.parametrize("name", EVERY)
def test_every_setting_changes_something(name: str, read: set[str]) -> None:
    if len(CHOICES.get(name, "two")) == 1:
        return  # there is nothing to choose yet; the day that there is, somebody must read it
    assert read & {name, *THROUGH.get(name, ())}, f"nobody reads {name}"


@pytest.mark.ids("M53")
def test_a_setting_that_nobody_reads_would_be_noticed(read: set[str]) -> None:
    code = ast.parse(
        "settings.leeway; self._settings.realm; core.settings.cookie.suffix; other.binding; cookie.partitioned"
    )
    assert read_in(code) == {"leeway", "realm", "cookie", "cookie.suffix"}
    assert not read & {"invented", "cookie.invented"}
