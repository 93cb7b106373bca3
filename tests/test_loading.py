"""Settings from mappings, files and the environment: what is read, what goes before what, and how faults are told."""

import math
import os
from contextlib import suppress
from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from keyturn._loading import Configuration, load_configuration
from keyturn._reading import did_you_mean, read_duration, read_list, read_switch
from keyturn._validation import Unreadable
from keyturn.errors import ConfigurationError
from keyturn.settings import SETTING_NAMES, CookieSettings, Settings
from keyturn.users import RegisteredClient

ISSUER = "https://app.example.org"
BASE = f'[keyturn]\nissuer = "{ISSUER}"\n'
IN_ENVIRONMENT = {"KEYTURN_ISSUER": ISSUER}

# Every setting, as a file writes it, as the environment writes it, and what it means.
EVERY: list[tuple[str, object, str, object]] = [
    ("issuer", "https://b.example", "https://b.example", "https://b.example"),
    ("audience", "api", "api", "api"),
    ("realm", "admin", "admin", "admin"),
    ("profile", "native", "native", "native"),
    ("access_token_lifetime", "2m", "2m", timedelta(minutes=2)),
    ("idle_lifetime", "12h", "12h", timedelta(hours=12)),
    ("session_lifetime", "40d", "40d", timedelta(days=40)),
    ("sliding", False, "no", False),
    ("leeway", 5, "5", timedelta(seconds=5)),
    ("recovery_window", "1d", "1d", timedelta(days=1)),
    ("clock_skew", 0.5, "0.5", timedelta(milliseconds=500)),
    ("max_sessions", 3, "3", 3),
    ("on_limit", "refuse", "refuse", "refuse"),
    ("recent_auth", "1h", "1h", timedelta(hours=1)),
    ("transports", ["body"], "body", ("body",)),
    ("binding", "none", "none", "none"),
    ("origins", ["https://a.example", "http://localhost:1"], "https://a.example, http://localhost:1",
     ("https://a.example", "http://localhost:1")),
    ("algorithm", "Ed25519", "Ed25519", "Ed25519"),
    ("staleness_bound", "2s", "2s", timedelta(seconds=2)),
    ("prefix", "/sign-in", "/sign-in", "/sign-in"),
    ("docs_login", True, "ON", True),
    ("wire_format", "standard", "standard", "standard"),
]  # fmt: skip
IN_COOKIE: list[tuple[str, object, str, object]] = [
    ("suffix", "shop", "shop", "shop"),
    ("access_in_cookie", True, "1", True),
    ("same_site", "Lax", "Lax", "Lax"),
    ("partitioned", False, "false", False),
]


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "keyturn.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def faults(*args: Any, **kwargs: Any) -> tuple[str, ...]:
    kwargs.setdefault("environment", {})
    with pytest.raises(ConfigurationError) as refused:
        load_configuration(*args, **kwargs)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return refused.value.faults


def mapping_faults(values: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_mapping(values)
    return refused.value.faults


# --- one source ------------------------------------------------------------------------------------------------------


def test_every_setting_stands_in_the_tables_of_this_file() -> None:
    assert {name for name, *_ in EVERY} | {"cookie"} == set(SETTING_NAMES)
    assert {name for name, *_ in IN_COOKIE} == {item.name for item in fields(CookieSettings)}


@pytest.mark.parametrize(("name", "value", "text", "meaning"), EVERY)
def test_every_setting_is_read_from_every_source(
    tmp_path: Path, name: str, value: Any, text: str, meaning: object
) -> None:
    shown = str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
    issuer = "" if name == "issuer" else f'issuer = "{ISSUER}"\n'
    path = written(tmp_path, f"[keyturn]\n{issuer}{name} = {shown}\n")
    read = [
        Settings.from_mapping({"issuer": ISSUER, name: value}),
        Settings.from_toml(path, environment={}),
        Settings.from_environment({**IN_ENVIRONMENT, f"KEYTURN_{name.upper()}": text}),
    ]
    assert [getattr(settings, name) for settings in read] == [meaning] * 3
    assert read[0] == read[1] == read[2] == Settings(**{"issuer": ISSUER, name: meaning})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value", "text", "meaning"), IN_COOKIE)
def test_every_cookie_setting_is_read_from_every_source(
    tmp_path: Path, name: str, value: Any, text: str, meaning: object
) -> None:
    shown = str(value).lower() if isinstance(value, bool) else f'"{value}"'
    path = written(tmp_path, f"{BASE}[keyturn.cookie]\n{name} = {shown}\n")
    read = [
        Settings.from_mapping({"issuer": ISSUER, "cookie": {name: value}}),
        Settings.from_toml(path, environment={}),
        Settings.from_environment({**IN_ENVIRONMENT, f"KEYTURN_COOKIE__{name.upper()}": text}),
    ]
    assert [getattr(settings.cookie, name) for settings in read] == [meaning] * 3


def test_a_mapping_may_hold_what_the_constructor_takes() -> None:
    values = {
        "issuer": ISSUER, "leeway": timedelta(seconds=3), "cookie": CookieSettings(suffix="shop"), "origins": (),
        "recovery_window": None, "audience": None,
    }  # fmt: skip
    expected = Settings(issuer=ISSUER, leeway=timedelta(seconds=3), cookie=CookieSettings(suffix="shop"))
    assert Settings.from_mapping(values) == expected


def test_names_in_a_mapping_may_be_in_any_case() -> None:
    settings = Settings.from_mapping({"ISSUER": ISSUER, "Leeway": "2s", "COOKIE": {"SUFFIX": "shop"}})
    assert settings == Settings(issuer=ISSUER, leeway=timedelta(seconds=2), cookie=CookieSettings(suffix="shop"))


def test_reading_a_mapping_leaves_it_alone() -> None:
    values = {"Issuer": ISSUER, "cookie": {"Suffix": "a"}}
    Settings.from_mapping(values)
    assert values == {"Issuer": ISSUER, "cookie": {"Suffix": "a"}}


@pytest.mark.parametrize("source", ["mapping", "file", "environment"])
def test_a_profile_is_chosen_by_name_in_every_source_and_refined_by_the_rest(tmp_path: Path, source: str) -> None:
    values = {"issuer": ISSUER, "profile": "strict", "leeway": "2s", "recovery_window": "5s"}
    match source:
        case "mapping":
            settings = Settings.from_mapping(values)
        case "file":
            lines = "\n".join(f'{name} = "{value}"' for name, value in values.items())
            settings = Settings.from_toml(written(tmp_path, f"[keyturn]\n{lines}"), environment={})
        case _:
            settings = Settings.from_environment({f"KEYTURN_{name.upper()}": value for name, value in values.items()})
    assert settings.max_sessions == 1
    assert (settings.leeway, settings.recovery_window) == (timedelta(seconds=2), timedelta(seconds=5))


# --- one source over another -----------------------------------------------------------------------------------------


def test_the_environment_goes_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    path = written(
        tmp_path, BASE + 'leeway = "2s"\nclock_skew = "2s"\n[keyturn.cookie]\nsuffix = "a"\nsame_site = "Lax"'
    )
    environment = {"KEYTURN_LEEWAY": "3s", "KEYTURN_COOKIE__SUFFIX": "b"}
    settings = Settings.from_toml(path, environment=environment)
    assert settings == Settings(
        issuer=ISSUER, leeway=timedelta(seconds=3), clock_skew=timedelta(seconds=2),
        cookie=CookieSettings(suffix="b", same_site="Lax"),
    )  # fmt: skip


def test_the_process_environment_is_read_where_none_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("KEYTURN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KEYTURN_ISSUER", "https://b.example")
    assert Settings.from_environment().issuer == "https://b.example"
    assert Settings.from_toml(written(tmp_path, BASE)).issuer == "https://b.example"
    assert Settings.from_toml(written(tmp_path, BASE), environment={}).issuer == ISSUER


def test_other_variables_are_nobodys_business() -> None:
    assert (
        Settings.from_environment({**IN_ENVIRONMENT, "PATH": "x", "MYKEYTURN_LEEWAY": "x", "KEYTURN": "x"}).realm
        == "default"
    )


def test_the_switch_of_the_projects_own_scripts_is_no_fault() -> None:
    assert Settings.from_environment({**IN_ENVIRONMENT, "KEYTURN_SETUP": "1"}).issuer == ISSUER


def test_the_variable_that_holds_keys_is_no_fault_of_the_settings() -> None:
    assert Settings.from_environment({**IN_ENVIRONMENT, "KEYTURN_KEYS": '{"keys": []}'}).issuer == ISSUER


# --- what belongs to others ------------------------------------------------------------------------------------------

WHOLE = (
    BASE
    + """
[server]
Port = 8000
trusted_proxies = ["10.0.0.0/8"]
[throttle]
login_per_user = ""
[[clients]]
id = "shop"
secret_digest = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"
[[clients]]
id = "app"
"""
)


def test_other_tables_are_handed_on_as_they_were_written(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    found = load_configuration(
        path, environment={"KEYTURN_SERVER__HOST": "::1", "KEYTURN_THROTTLE__LOGIN_PER_USER": "1/day"}
    )
    assert found.settings == Settings(issuer=ISSUER)
    assert found.rest == {
        "server": {"port": 8000, "trusted_proxies": ("10.0.0.0/8",), "host": "::1"},
        "throttle": {"login_per_user": "1/day"},
    }
    assert found.clients == (
        RegisteredClient(id="shop", secret_digest="0123456789abcdef" * 4),
        RegisteredClient(id="app"),
    )
    assert found.path == path


def test_a_variable_of_the_server_goes_before_the_file_and_stays_text(tmp_path: Path) -> None:
    found = load_configuration(written(tmp_path, WHOLE), environment={"KEYTURN_SERVER__PORT": "9000"})
    assert found.rest["server"]["port"] == "9000"


def test_a_configuration_cannot_be_changed(tmp_path: Path) -> None:
    found = load_configuration(written(tmp_path, WHOLE), environment={})
    with pytest.raises(FrozenInstanceError):
        found.rest = {}  # type: ignore[misc]
    for table in (found.rest, found.rest["server"]):
        with pytest.raises(TypeError):
            table["port"] = 1  # type: ignore[index]


@pytest.mark.ids("ST-01")
def test_a_configuration_shows_neither_clients_nor_stores(tmp_path: Path) -> None:
    found = load_configuration(
        written(tmp_path, WHOLE), environment={"KEYTURN_SERVER__STORE": "postgresql://u:hunter2@db"}
    )
    assert "0123" not in repr(found).lower()
    assert "0123" not in repr(found.clients).lower()
    assert "hunter2" not in repr(found)


def test_a_missing_table_is_an_empty_one() -> None:
    found = load_configuration(environment=IN_ENVIRONMENT)
    assert (dict(found.rest), found.clients, found.path) == ({}, (), None)
    assert Configuration(settings=found.settings) == found


def test_an_issuer_may_follow_from_the_servers_address(tmp_path: Path) -> None:
    path = written(tmp_path, "[server]\nport = 8000")
    found = load_configuration(
        path, environment={}, default_issuer=lambda rest: f"http://127.0.0.1:{rest['server']['port']}"
    )
    assert found.settings.issuer == "http://127.0.0.1:8000"
    named = load_configuration(path, environment=IN_ENVIRONMENT, default_issuer=lambda rest: "http://localhost")
    assert named.settings.issuer == ISSUER


@pytest.mark.ids("M54")
def test_a_fault_of_the_servers_address_is_told_with_the_others() -> None:
    def refuse(rest: object) -> str:
        raise ConfigurationError(["server.port is 'x': write a number"])

    assert faults(environment={"KEYTURN_MAX_SESSIONS": "0"}, default_issuer=refuse) == (
        "server.port is 'x': write a number",
        "KEYTURN_MAX_SESSIONS: max_sessions is below 1: nobody could sign in",
    )


# --- durations, switches, lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written_as", "seconds"),
    [("2s", 2), ("5m", 300), ("12h", 43200), ("30d", 2592000), ("90", 90), (" 2s ", 2), ("2 s", 2), ("0", 0), ("0.5s", 0.5),
     (90, 90), (0.25, 0.25), (-5, -5), (timedelta(hours=1), 3600), ("1.5h", 5400)],
)  # fmt: skip
def test_a_duration_is_a_number_with_a_unit_or_of_seconds(written_as: object, seconds: float) -> None:
    assert read_duration("leeway", written_as) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written_as",
    ["", "s", "2 sec", "5min", "2S", "1h30m", "-5s", "+5s", "1e3", "nan", "inf", ".5s", "5.", "2\n3s", "\u0662s", "9" * 20, "9" * 400,
     True, False, [], {}, math.nan, math.inf, -math.inf, 10**400, 1e300, b"2s"],
)  # fmt: skip
def test_what_is_no_duration_is_told_with_how_to_write_one(written_as: object) -> None:
    fault = read_duration("leeway", written_as)
    assert isinstance(fault, Unreadable)
    assert fault.startswith("leeway is ")
    assert fault.endswith("write a duration as 2s, 5m, 12h, 30d, or in seconds")


@given(
    st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.text(alphabet="0123456789.smhd -", max_size=14))
)
def test_reading_a_duration_never_raises(value: object) -> None:
    assert isinstance(read_duration("leeway", value), timedelta | Unreadable)


@pytest.mark.parametrize("word", ["true", "True", "YES", "on", "1", " true "])
def test_a_word_that_means_yes_is_yes(word: str) -> None:
    assert read_switch("sliding", word) is True


@pytest.mark.parametrize("word", ["false", "False", "NO", "off", "0"])
def test_a_word_that_means_no_is_no(word: str) -> None:
    assert read_switch("sliding", word) is False


@pytest.mark.parametrize("word", ["", "2", "maybe", "y", "truee", "none"])
def test_any_other_word_is_a_fault(word: str) -> None:
    assert read_switch("sliding", word) == f"sliding is {word!r}: write true or false"


@pytest.mark.parametrize(
    ("text", "items"), [("", ()), (" ", ()), ("a", ("a",)), ("a,b", ("a", "b")), (" a , b ,", ("a", "b"))]
)
def test_a_list_in_the_environment_has_commas(text: str, items: tuple[str, ...]) -> None:
    assert read_list(text) == items


@pytest.mark.parametrize("value", ["yes", "", 1])
def test_a_file_spells_switches_as_toml_does(value: object) -> None:
    assert mapping_faults({"issuer": ISSUER, "sliding": value}) == ("sliding is not True or False",)


@pytest.mark.parametrize("text", ["", "many", "1.5", "1e3", "0x10", "\u0663"])
def test_a_number_in_the_environment_has_digits_only(text: str) -> None:
    assert faults(environment={**IN_ENVIRONMENT, "KEYTURN_MAX_SESSIONS": text}) == (
        "KEYTURN_MAX_SESSIONS: max_sessions is not a whole number",
    )


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("M54")
@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"leway": "5s"}, "leway is no setting (did you mean leeway?)"),
        ({"ttl": 3}, "ttl is no setting"),
        ({"accessTokenLifetime": 3}, "accesstokenlifetime is no setting (did you mean access_token_lifetime?)"),
        ({"cookie": {"same-site": "Lax"}}, "cookie.'same-site' is no setting (did you mean same_site?)"),
        ({"cookie": {"cookie": {}}}, "cookie.cookie is no setting"),
        ({"cookie": "shop"}, "cookie is not a table of cookie settings"),
        ({"leeway": "1s", "LEEWAY": "1s"}, "leeway is given twice, in different case"),
        ({"cookie": {"suffix": "a", "Suffix": "a"}}, "cookie.suffix is given twice, in different case"),
        ({3: "x"}, "3 is no name: names are texts"),
        ({"_cookie_names": ()}, "_cookie_names is no setting (did you mean cookie?)"),
    ],
)
def test_an_unknown_name_is_a_fault_with_a_suggestion(values: dict[str, Any], fault: str) -> None:
    told = mapping_faults({"issuer": ISSUER, **values})
    assert told == (fault,)


@pytest.mark.parametrize("values", [None, [], "issuer", 3])
def test_what_is_no_mapping_is_refused(values: Any) -> None:
    assert mapping_faults(values) == ("the settings are not a mapping of names to values",)


@pytest.mark.ids("M54")
@pytest.mark.parametrize(
    ("variable", "fault"),
    [
        ("KEYTURN_LEWAY", "KEYTURN_LEWAY is no setting (did you mean KEYTURN_LEEWAY?)"),
        ("KEYTURN_COOKIE__SUFIX", "KEYTURN_COOKIE__SUFIX is no setting (did you mean KEYTURN_COOKIE__SUFFIX?)"),
        ("KEYTURN_COOKIE_SUFFIX", "KEYTURN_COOKIE_SUFFIX is no setting (did you mean KEYTURN_COOKIE__SUFFIX?)"),
        ("KEYTURN_COOKIE", "KEYTURN_COOKIE is a table: write KEYTURN_COOKIE__ and the name in it"),
        ("KEYTURN_SERVER", "KEYTURN_SERVER is a table: write KEYTURN_SERVER__ and the name in it"),
        ("KEYTURN_SERVER__", "KEYTURN_SERVER is a table: write KEYTURN_SERVER__ and the name in it"),
        (
            "KEYTURN_CLIENTS__ID",
            "KEYTURN_CLIENTS cannot be spelled in the environment: write [[clients]] in the file",
        ),
        ("KEYTURN_SERVR__PORT", "KEYTURN_SERVR__PORT is no setting (did you mean KEYTURN_SERVER__?)"),
        ("KEYTURN_ZZZZ__YYYY", "KEYTURN_ZZZZ__YYYY is no setting"),
        ("KEYTURN_", "KEYTURN_ is no setting"),
    ],
)
def test_an_unknown_variable_is_a_fault_with_a_suggestion(variable: str, fault: str) -> None:
    told = faults(environment={**IN_ENVIRONMENT, variable: "x"})
    assert told == (fault,)


def test_only_a_close_name_is_suggested() -> None:
    assert did_you_mean("leway", ["leeway", "realm"]) == " (did you mean leeway?)"
    assert did_you_mean("zzz", ["leeway", "realm"]) == ""


@pytest.mark.ids("M54")
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[sever]", "[sever] is no table that is read here (did you mean server?)"),
        ('leeway = "1s"', "leeway stands outside of [keyturn]: move it below that line"),
        ("server = 3", "server is no table: write a line [server] and the names below it"),
        ("clients = 3", "clients is no list of tables: begin each with a line [[clients]]"),
        ("[clients]\nid = 'a'", "clients is no list of tables: begin each with a line [[clients]]"),
        ("[server]\nport = 1\nPORT = 2", "[server] port is given twice, in different case"),
    ],
)
def test_a_misplaced_table_or_name_is_a_fault(tmp_path: Path, text: str, fault: str) -> None:
    path = written(tmp_path, text)
    assert faults(path, environment=IN_ENVIRONMENT) == (f"{path}: {fault}",)


def test_keyturn_itself_must_be_a_table(tmp_path: Path) -> None:
    path = written(tmp_path, "keyturn = 3")
    assert faults(path, environment=IN_ENVIRONMENT) == (
        f"{path}: keyturn is no table: write a line [keyturn] and the names below it",
    )


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("M54")
def test_all_faults_of_all_sources_are_told_at_once_and_where(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[keyturn]\nleway = 1\nleeway = "soon"\nclock_skew = "2m"\nprefix = "auth"\n[keyturn.cookie]\nsuffix = "A"',
    )
    environment = {
        "KEYTURN_SLIDING": "maybe",
        "KEYTURN_PREFIX": "/x/",
        "KEYTURN_COOKIE__PARTITIONED": "perhaps",
        "KEYTURN_OOPS": "",
    }
    assert faults(path, environment=environment) == (
        f"{path}: [keyturn] leway is no setting (did you mean leeway?)",
        "KEYTURN_OOPS is no setting",
        "issuer is missing: give the URL of this service, such as https://app.example.org",
        "KEYTURN_SLIDING: sliding is 'maybe': write true or false",
        f"{path}: [keyturn] leeway is 'soon': write a duration as 2s, 5m, 12h, 30d, or in seconds",
        f"{path}: [keyturn] clock_skew is 2m: at most 1m is allowed",
        "KEYTURN_PREFIX: prefix must look like /auth: a leading slash, no trailing one, no characters that need escaping",
        f"{path}: [keyturn] cookie.suffix may hold a-z, 0-9, _ and -, at most 32",
        "KEYTURN_COOKIE__PARTITIONED: cookie.partitioned is 'perhaps': write true or false",
    )


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "keyturn.toml"
    assert faults(path) == (f"{path}: there is no such file",)
    assert faults(str(path)) == (f"{path}: there is no such file",)


def test_a_folder_is_told(tmp_path: Path) -> None:
    assert faults(tmp_path) == (f"{tmp_path}: this is a folder; give the file in it",)


def test_a_path_through_a_file_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, BASE) / "below"
    assert faults(path)[0].startswith(f"{path}: cannot be read: ")


def test_a_path_that_no_system_has_is_told() -> None:
    assert len(faults("a\0b")) == 1


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, b'[keyturn]\nissuer = "https://b\xfccher.example"\n')
    assert faults(path) == (f"{path}: line 2: not in UTF-8; save the file in that encoding",)


def test_a_byte_order_mark_and_other_line_ends_are_fine(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    assert Settings.from_toml(path, environment={}).issuer == ISSUER


def test_a_line_that_is_no_toml_is_shown(tmp_path: Path) -> None:
    path = written(tmp_path, BASE + "leeway 5s\n")
    (fault,) = faults(path)
    assert fault.startswith(f"{path}: line 3: not TOML: ")
    assert fault.endswith(": 'leeway 5s'")


def test_a_file_that_stops_too_early_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, BASE + 'realm = """x')
    (fault,) = faults(path)
    assert "not TOML: " in fault


def test_a_file_that_is_nested_too_deeply_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "x = " + "[" * 100_000)
    assert len(faults(path)) == 1


@pytest.mark.ids("ST-01", "KEY-06")
@pytest.mark.parametrize(
    "line",
    [
        'secret_digest = "hunter2',
        "secret = hunter2",
        "store = postgresql://u:hunter2@db",
        'password: "hunter2"',
        '"""hunter2 0123456789abcdef0123456789abcdef',
        "issuer https://u:hunter2@a.example",
    ],
)
def test_a_line_that_may_hold_a_secret_is_not_shown(tmp_path: Path, line: str) -> None:
    (fault,) = faults(written(tmp_path, f"{BASE}{line}\n"))
    assert "line 3" in fault or "end of document" in fault
    assert "hunter2" not in fault


@pytest.mark.ids("ST-01", "KEY-06")
@pytest.mark.parametrize("name", sorted(set(SETTING_NAMES) - {"audience", "cookie"}))
def test_a_secret_in_the_wrong_variable_is_not_shown(name: str) -> None:
    secret = "kt1.hunter2hunter2hunter2hunter2 hunter2@"
    environment = {**IN_ENVIRONMENT, f"KEYTURN_{name.upper()}": secret}
    told = faults(environment=environment)
    assert told
    assert not any("hunter2" in fault for fault in told)


@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from([f"KEYTURN_{name.upper()}" for name in SETTING_NAMES]), st.text().map("KEYTURN_".__add__)
        ),
        st.text(max_size=20),
        max_size=5,
    )
)
def test_no_environment_makes_loading_fail_in_any_other_way(environment: dict[str, str]) -> None:
    with suppress(ConfigurationError):
        load_configuration(environment=environment)
