"""Cookies, octet by octet: what is read as ours, what the application still sees, what is written."""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.cookies import CookieError, SimpleCookie
from importlib.util import find_spec
from itertools import product

import pytest
from hypothesis import example, given, strategies as st
from starlette.requests import cookie_parser

from keyturn.http.replies import cleared_cookies, cleared_doubles, token_answer
from keyturn.messages import NO_COOKIES, Cookie, Cookies, Reply, Request, take_cookies
from keyturn.session import Session
from keyturn.settings import CookieSettings, Settings
from keyturn.tokens import TokenPair

NAME = "__Host-Http-kt_refresh"
OURS = NAME.encode()
NAMES = Settings(issuer="https://app.example.org").cookie_names


def taken(*lines: bytes, names: frozenset[str] = NAMES) -> tuple[list[bytes], Cookies]:
    """Take our cookies from so many Cookie lines; what is left of the lines, and ours."""
    headers, cookies = take_cookies([(b"cookie", line) for line in lines], names)
    assert all(key == b"cookie" for key, _ in headers)
    return [line for _, line in headers], cookies


# --- what is ours ----------------------------------------------------------------------------------------------------


def test_our_cookies_are_taken_and_the_others_stay_as_they_were() -> None:
    rest, cookies = taken(b"theme=dark; " + OURS + b"=kt1.abc; __Host-Http-kt_bind=xyz; lang=de")
    assert cookies.values == {NAME: "kt1.abc", "__Host-Http-kt_bind": "xyz"}
    assert rest == [b"theme=dark; lang=de"]


@pytest.mark.ids("CK-14")
def test_a_line_that_held_nothing_but_our_cookies_is_gone() -> None:
    assert taken(OURS + b"=a; ; ") == ([], Cookies({NAME: "a"}))


def test_other_header_fields_keep_their_order() -> None:
    headers = [(b"host", b"a"), (b"cookie", OURS + b"=a"), (b"x-name", OURS + b"=b"), (b"accept", b"c")]
    assert take_cookies(headers, NAMES)[0] == [(b"host", b"a"), (b"x-name", OURS + b"=b"), (b"accept", b"c")]


def test_a_request_without_cookies_of_ours_is_handed_on_as_the_same_object() -> None:
    headers = [(b"host", b"a"), (b"cookie", b"theme=dark; sid=1")]
    rest, cookies = take_cookies(headers, NAMES)
    assert rest is headers
    assert cookies is NO_COOKIES


@pytest.mark.parametrize("realm", ["default", "admin", "a"])
@pytest.mark.parametrize("profile", ["browser", "development"])
def test_every_name_of_ours_passes_the_first_glance(realm: str, profile: str) -> None:
    settings = Settings(issuer="https://localhost", realm=realm, profile=profile)
    for name in settings.cookie_names:
        assert taken(name.encode() + b"=v", names=settings.cookie_names)[1].values == {name: "v"}


@pytest.mark.ids("CK-09")
@pytest.mark.parametrize(
    "lines",
    [
        [b"a=1", OURS + b"=good", b"b=2"],
        [b"a=1; " + OURS + b"=good", b"b=2"],
        [OURS + b"=good", b"a=1", b"b=2"],
    ],
)
def test_several_cookie_lines_are_read_as_one(lines: list[bytes]) -> None:
    rest, cookies = taken(*lines)
    assert cookies.values == {NAME: "good"}
    assert b"; ".join(rest) == b"a=1; b=2"


@pytest.mark.ids("CK-08")
@pytest.mark.parametrize(
    "lines",
    [
        [OURS + b"=a; " + OURS + b"=b"],
        [OURS + b"=a; " + OURS + b"=a"],
        [OURS + b"=a; x=1; " + OURS + b"=b; " + OURS + b"=c"],
        [OURS + b"=a", OURS + b"=b"],
        [b"x=1; " + OURS + b"=a", b"y=2", b"\t" + OURS + b" =b"],
        [OURS + b"=; " + OURS + b"=b"],
    ],
)
def test_a_doubled_name_counts_as_absent_and_is_remembered(lines: list[bytes]) -> None:
    rest, cookies = taken(*lines, OURS.replace(b"refresh", b"bind") + b"=kept")
    assert cookies.values == {"__Host-Http-kt_bind": "kept"}
    assert cookies.doubled == {NAME}
    assert not any(b"kt_" in line for line in rest)


@pytest.mark.ids("CK-08")
@pytest.mark.parametrize(
    "value",
    [b'"quoted"', b"a=b==", b"\\101\\073", b"%41", b"caf\xc3\xa9", b"\xff\x00\x01", b"a b", b"a,b", b"", b"\xa0v\x85"],
)
def test_a_value_is_its_exact_octets(value: bytes) -> None:
    _, cookies = taken(b"x=1;" + OURS + b"= \t" + value + b" \t;y=2")
    assert cookies.values[NAME].encode("latin-1") == value


@pytest.mark.parametrize("spaced", [b" " + OURS + b"=v", b"\t" + OURS + b"\t=\tv", OURS + b" = v "])
def test_spaces_and_tabs_around_a_name_are_trimmed(spaced: bytes) -> None:
    assert taken(spaced)[1].values == {NAME: "v"}


# --- what only looks like ours ---------------------------------------------------------------------------------------

PLANTED = {
    "raw A0": b"\xa0" + OURS,
    "raw 85": b"\x85" + OURS,
    "U+0085": b"\xc2\x85" + OURS,
    "U+00A0": b"\xc2\xa0" + OURS,
    "U+2000": b"\xe2\x80\x80" + OURS,
    "U+3000": b"\xe3\x80\x80" + OURS,
    "$Version": b"$Version=1; $Path=/; $" + OURS,
    "after $Version": b"$Version=1, " + OURS,
    "comma": b"x," + OURS,
    "comma and value": b"x=1, " + OURS,
    "white space in a value": b"x=1 " + OURS,
    "white space after": OURS + b"\xa0",
    "form feed": b"\x0c" + OURS,
    "vertical tab after": OURS + b"\x0b",
    "unit separator": b"\x1f" + OURS,
    "NUL": OURS + b"\x00",
    "zero width": b"\xe2\x80\x8b" + OURS,
    "byte order mark": b"\xef\xbb\xbf" + OURS,
    "quoted": b'"' + OURS + b'"',
    "upper case": OURS.upper(),
    "prefix in lower case": OURS.lower(),
    "Kelvin sign": OURS.replace(b"k", "\u212a".encode()),
    "long s": OURS.replace(b"s", "\u017f".encode()),
}


@pytest.mark.ids("CK-08", "M42")
@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
@pytest.mark.parametrize("order", ["after", "before", "on a line of its own"])
def test_a_planted_name_is_ignored_and_nobody_behind_us_sees_it(planted: bytes, order: str) -> None:
    good, evil = OURS + b"=good", planted + b"=evil"
    lines = {"after": [good + b"; " + evil], "before": [evil + b"; " + good]}.get(order, [evil, good])
    rest, cookies = taken(*lines, b"theme=dark")
    assert cookies == Cookies({NAME: "good"})
    assert not any(b"evil" in line for line in rest)
    assert rest[-1] == b"theme=dark"


@pytest.mark.ids("CK-08", "M42")
@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_a_planted_name_alone_is_no_cookie_of_ours(planted: bytes) -> None:
    assert taken(planted + b"=evil")[1].values == {}


@pytest.mark.ids("CK-08")
def test_a_name_without_an_equals_sign_neither_counts_nor_stays() -> None:
    assert taken(OURS + b"=good; " + OURS) == ([], Cookies({NAME: "good"}))


@pytest.mark.ids("CK-13")
@pytest.mark.parametrize(
    "foreign",
    [
        OURS + b"_admin=1",
        b"kt_refresh=1",
        b"my-" + OURS + b"=1",
        b"consent=" + OURS,
        b"consent=a," + OURS + b",b",
        b"kt_theme=dark",
        b"t_=1; T_=2",
    ],
)
def test_another_applications_cookie_stays(foreign: bytes) -> None:
    assert taken(OURS + b"=a; " + foreign)[0] == [foreign]


# --- no reader behind us is fooled -----------------------------------------------------------------------------------


def by_starlette(line: bytes) -> Iterable[str]:
    return cookie_parser(line.decode("latin-1"))


def by_django(line: bytes) -> Iterable[str]:
    # Django's own way: octets as UTF-8, split at the semicolon, str.strip
    return cookie_parser(line.decode("utf-8", "replace"))


def by_the_standard_library(line: bytes) -> Iterable[str]:
    jar: SimpleCookie = SimpleCookie()
    with suppress(CookieError):
        jar.load(line.decode("latin-1"))
    return jar


def by_rfc_2109(line: bytes) -> Iterable[str]:
    # the old grammar: a comma separates too, and quotes around a name are taken off
    parts = [part.partition("=") for part in re.split("[;,]", line.decode("latin-1"))]
    return [name.strip().strip('"').strip() for name, equals, _ in parts if equals]


def by_werkzeug(line: bytes) -> Iterable[str]:
    from werkzeug.sansio.http import parse_cookie

    return parse_cookie(line.decode("latin-1"))


READERS = [by_starlette, by_django, by_the_standard_library, by_rfc_2109]
READERS += [by_werkzeug] if find_spec("werkzeug") else []

CRUMB = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [*PLANTED.values(), OURS, b"__Host-Http-kt_bind", b"theme", b'"', b"$Version", b"Path", b"expires"]
    ),
    st.sampled_from([b"=", b"; ", b";", b",", b" ", b"\t", b"\xa0", b"\xc2\x85", b'"', b"\\", b"\x00", b"==", b"\n"]),
)
FIELD = st.lists(CRUMB, max_size=12).map(b"".join)


@pytest.mark.ids("CK-08", "M42", "CK-14")
@given(lines=st.lists(FIELD, min_size=1, max_size=3))
@example(lines=[b"a=b " + OURS + b"=evil"])
@example(lines=[b'a="; ' + OURS + b'=evil; b="'])
@example(lines=[b'a="x', OURS + b'="y; z=1'])
def test_no_reader_finds_a_name_of_ours_in_what_is_left(lines: list[bytes]) -> None:
    rest, _ = taken(*lines)
    for line in [*rest, b"; ".join(rest), b",".join(rest), b";".join(rest)]:
        for reader in READERS:
            assert NAMES.isdisjoint(reader(line)), reader.__name__


@pytest.mark.ids("CK-08")
@given(lines=st.lists(FIELD, min_size=1, max_size=3))
def test_what_is_ours_stands_in_the_header_octet_for_octet(lines: list[bytes]) -> None:
    _, cookies = taken(*lines)
    crumbs = [crumb.partition(b"=") for line in lines for crumb in line.split(b";")]
    expected: dict[str, list[bytes]] = {}
    for name, equals, value in crumbs:
        if equals and name.strip(b" \t").decode("latin-1") in NAMES:
            expected.setdefault(name.strip(b" \t").decode("latin-1"), []).append(value.strip(b" \t"))
    assert cookies.doubled == {name for name, values in expected.items() if len(values) > 1}
    assert {name: [value.encode("latin-1")] for name, value in cookies.values.items()} == {
        name: values for name, values in expected.items() if len(values) == 1
    }


@given(
    headers=st.lists(st.tuples(st.sampled_from([b"cookie", b"accept", b"x"]), FIELD), max_size=5),
)
def test_taking_twice_changes_nothing_more(headers: list[tuple[bytes, bytes]]) -> None:
    rest, _ = take_cookies(headers, NAMES)
    again, cookies = take_cookies(rest, NAMES)
    assert [*again] == [*rest]
    assert (cookies.values, cookies.doubled) == ({}, frozenset())


def test_the_readers_would_be_fooled_without_us() -> None:
    fooled = {reader for reader in READERS for planted in PLANTED.values() if NAME in reader(planted + b"=evil")}
    assert {by_starlette, by_django, by_the_standard_library, by_rfc_2109} <= fooled


@pytest.mark.ids("ST-01")
def test_neither_cookies_nor_requests_show_a_value_in_their_repr() -> None:
    cookies = taken(OURS + b"=kt1.verysecret; __Host-Http-kt_bind=a; __Host-Http-kt_bind=b")[1]
    request = Request(
        "GET", "/me", "token=verysecret", ((b"authorization", b"verysecret"),), cookies, "https", "", _none, None
    )
    for text in (repr(cookies), str(cookies), repr(request), str(request), f"{request}"):
        assert "verysecret" not in text
    assert NAME in repr(cookies)


def _none(size: int) -> bytes:
    return b""


# --- what is written -------------------------------------------------------------------------------------------------

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST_TOKEN = "kt1." + "A" * 72


def pair_and_session(*, remember: bool, left: timedelta = timedelta(days=30)) -> tuple[TokenPair, Session]:
    pair = TokenPair(
        access_token="a.b.c", refresh_token=LONGEST_TOKEN, issued_at=NOW, expires_at=NOW + timedelta(minutes=5),
        refresh_expires_at=NOW + left, session_id="s" * 22, scope=frozenset(),
    )  # fmt: skip
    session = Session(
        id="s" * 22, realm="default", subject="u", client_id="c", transport="cookie", remember=remember,
        seed_digest=b"d", rotated_at=NOW, authenticated_at=NOW, created_at=NOW, idle_expires_at=NOW + left,
        expires_at=NOW + left,
    )  # fmt: skip
    return pair, session


def every_settings() -> Iterable[Settings]:
    """Every combination that decides how a cookie looks."""
    for profile, access, same_site, suffix in product(
        ("browser", "native", "strict", "development", "testing"),
        (False, True),
        ("Strict", "Lax", "None"),
        ("", "shop"),
    ):
        if (profile, same_site) != ("development", "None"):
            cookie = CookieSettings(
                suffix=suffix, access_in_cookie=access, same_site=same_site, partitioned=same_site == "None"
            )
            yield Settings(issuer="https://localhost", profile=profile, cookie=cookie)


EVERY_SETTINGS = [
    pytest.param(
        settings,
        id=f"{settings.profile}-{settings.cookie.same_site}-{settings.cookie.suffix}-{settings.cookie.access_in_cookie}",
    )
    for settings in every_settings()
]


def set_by(settings: Settings, *, remember: bool = True) -> list[str]:
    pair, session = pair_and_session(remember=remember)
    reply = token_answer(pair, session, settings, now=NOW, binding="b" * 43)
    return [value.decode() for key, value in reply.raw_headers() if key == b"set-cookie"]


@pytest.mark.ids("CK-01", "CK-02", "CK-03", "CK-11", "CK-12", "M46", "M49")
@pytest.mark.parametrize("settings", EVERY_SETTINGS)
def test_every_cookie_is_written_with_every_attribute(settings: Settings) -> None:
    expected = ["Path=/", "Max-Age", "HttpOnly", *([] if settings.development else ["Secure"])]
    expected.append(f"SameSite={settings.cookie.same_site}")
    expected += ["Partitioned"] if settings.cookie.partitioned else []
    lines = set_by(settings)
    assert len(lines) == (3 if settings.cookie.access_in_cookie else 2)
    for line in lines:
        crumb, *attributes = line.split("; ")
        assert crumb.startswith("kt_" if settings.development else "__Host-Http-kt_")
        assert [re.sub("Max-Age=[1-9][0-9]*$", "Max-Age", attribute) for attribute in attributes] == expected


@pytest.mark.ids("CK-05")
@pytest.mark.parametrize("settings", EVERY_SETTINGS)
def test_the_refresh_and_the_binding_cookie_are_small(settings: Settings) -> None:
    for line in set_by(settings)[:2]:
        assert len(line.split("; ")[0]) < 200


@pytest.mark.ids("CK-05")
def test_the_longest_suffix_leaves_room_for_the_largest_access_token() -> None:
    settings = Settings(issuer="https://a.example", cookie=CookieSettings(suffix="x" * 32))
    longest = max(len(name) for name in settings.cookie_names)
    assert longest + len("=") <= 56  # the largest access token in a cookie is 4096 less what the name takes


@pytest.mark.ids("CK-04")
def test_a_remembered_session_lasts_as_long_as_it_may_and_another_ends_with_the_browser() -> None:
    settings = Settings(issuer="https://a.example")
    assert "Max-Age=2592000; " in set_by(settings)[0]
    assert not any("Max-Age" in line or "Expires" in line for line in set_by(settings, remember=False))


@pytest.mark.ids("CK-06", "M43")
@pytest.mark.parametrize("settings", EVERY_SETTINGS)
def test_clearing_repeats_every_attribute(settings: Settings) -> None:
    written = [re.sub("=[^;]*; Path=/; Max-Age=[0-9]+", "=; Path=/; Max-Age=0", line) for line in set_by(settings)]
    assert [cookie.render() for cookie in cleared_cookies(settings)] == written


@pytest.mark.ids("CK-08")
def test_a_doubled_cookie_is_cleared_from_both_jars() -> None:
    settings = Settings(issuer="https://a.example")
    cookies = taken(OURS + b"=a; " + OURS + b"=b")[1]
    request = Request("POST", "/auth/refresh", "", (), cookies, "https", "", _none, None)
    assert [cookie.render() for cookie in cleared_doubles(request, settings)] == [
        f"{NAME}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict",
        f"{NAME}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict; Partitioned",
    ]


@pytest.mark.ids("CK-13")
@pytest.mark.parametrize(
    ("realm", "suffix", "name"),
    [
        ("default", "", "__Host-Http-kt_refresh"),
        ("admin", "", "__Host-Http-kt_refresh_admin"),
        ("admin", "shop", "__Host-Http-kt_refresh_shop"),
        ("default", "shop", "__Host-Http-kt_refresh_shop"),
    ],
)
def test_a_suffix_or_a_realm_keeps_applications_on_one_host_apart(realm: str, suffix: str, name: str) -> None:
    settings = Settings(issuer="https://a.example", realm=realm, cookie=CookieSettings(suffix=suffix))
    assert settings.refresh_cookie == name
    assert len(settings.cookie_names) == 3


@pytest.mark.ids("ST-01")
def test_a_cookie_to_be_set_does_not_show_its_value() -> None:
    reply = Reply(status=200, body=b"verysecret", cookies=(Cookie(name="a", value="verysecret"),))
    assert "verysecret" not in f"{reply!r} {reply} {reply.cookies[0]!r}"


# --- request and reply as values -------------------------------------------------------------------------------------


def test_a_request_gives_the_first_field_of_a_name_or_all_of_them() -> None:
    request = Request(
        "GET", "/", "", ((b"a", b"1"), (b"b", b"\xe9"), (b"a", b"2")), NO_COOKIES, "https", "", _none, None
    )
    assert (request.header(b"a"), request.header(b"b"), request.header(b"c")) == ("1", "é", None)
    assert request.header_values(b"a") == ["1", "2"]
    assert request.header_values(b"c") == []


@pytest.mark.parametrize(("status", "length"), [(200, b"2"), (404, b"2"), (204, None), (304, None)])
def test_a_reply_tells_its_length_where_it_may_have_a_body(status: int, length: bytes | None) -> None:
    fields = dict(Reply(status=status, headers=(("X-A", "é"),), body=b"{}").raw_headers())
    assert fields.pop(b"content-length", None) == length
    assert fields == {b"x-a": b"\xe9"}


def test_a_reply_finds_a_field_in_whatever_case() -> None:
    reply = Reply(status=200, headers=(("Retry-After", "1"), ("retry-after", "2")))
    assert reply.header("RETRY-AFTER") == "1"
    assert reply.header("allow") is None
