"""The browser client is served: to everybody, in the form they take, once for as long as it stays the same."""

import gzip
import zipfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from keyturn import _client_files
from keyturn._client_files import accepts_gzip, is_held, read
from keyturn.http.endpoints import client
from tests.support.front import APP, PAGE, REFRESH, Front, a_front, settings_with

TEXT = b"export const createClient = () => 1\n" * 40
GZIP = (b"accept-encoding", b"gzip, deflate, br")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A client, among what may lie beside it; it is what is served."""
    (tmp_path / "client.js").write_bytes(TEXT)
    for name in ("package.json", "client.d.ts", "client-types.d.ts", "client-tabs.js", "client.js.map", "other.js"):
        (tmp_path / name).write_text("{}")
    shipped = read(tmp_path / "client.js")
    monkeypatch.setattr(client, "shipped", lambda: shipped)
    return tmp_path


@pytest.fixture
def front(folder: Path) -> Front:
    return a_front()


def test_it_is_served_as_a_script_that_is_asked_about_each_time(front):
    answer = front.send("GET", "/auth/client.js")
    assert (answer.status, answer.body) == (200, TEXT)
    assert answer.header("Content-Type") == "text/javascript; charset=utf-8"
    assert answer.header("Cache-Control") == "no-cache"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("Content-Encoding") is None
    assert answer.header("ETag").startswith('"')
    assert ("Vary", "Accept-Encoding") in answer.reply.headers
    assert answer.set_cookies == []


def test_who_holds_it_gets_304_and_nothing_else(front):
    tag = front.send("GET", "/auth/client.js").header("ETag")
    answer = front.send("GET", "/auth/client.js", headers=[(b"if-none-match", tag.encode())])
    assert (answer.status, answer.body) == (304, b"")
    assert (answer.header("ETag"), answer.header("Cache-Control")) == (tag, "no-cache")
    assert answer.header("Content-Type") is None
    assert ("Vary", "Accept-Encoding") in answer.reply.headers
    assert b"content-length" not in dict(answer.reply.raw_headers())
    assert front.send("GET", "/auth/client.js", headers=[(b"if-none-match", b'"old"')]).status == 200


def test_another_content_has_another_tag(front, folder):
    before = read(folder / "client.js")
    (folder / "client.js").write_bytes(TEXT + b"\n")
    after = read(folder / "client.js")
    assert len({form.etag for file in (before, after) for form in (file.plain, file.gzipped)}) == 4


def test_the_same_content_has_the_same_octets_in_every_process(folder):
    first, second = read(folder / "client.js"), read(folder / "client.js")
    assert first.gzipped == second.gzipped
    assert int.from_bytes(first.gzipped.body[4:8], "little") == 0  # RFC 1952: no time in it


def test_who_takes_gzip_gets_it_with_a_tag_of_its_own(front):
    plain, answer = front.send("GET", "/auth/client.js"), front.send("GET", "/auth/client.js", headers=[GZIP])
    assert answer.header("Content-Encoding") == "gzip"
    assert gzip.decompress(answer.body) == TEXT
    assert len(answer.body) < len(TEXT)
    assert answer.header("ETag") != plain.header("ETag")
    held = [GZIP, (b"if-none-match", answer.header("ETag").encode())]
    assert front.send("GET", "/auth/client.js", headers=held).status == 304
    # what is held in one form is not what is asked for in the other
    crossed = [GZIP, (b"if-none-match", plain.header("ETag").encode())]
    assert front.send("GET", "/auth/client.js", headers=crossed).status == 200


def test_it_is_compressed_once(front, monkeypatch):
    monkeypatch.setattr(gzip, "compress", None)
    for _ in range(2):
        assert front.send("GET", "/auth/client.js", headers=[GZIP]).status == 200


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ([], False), ([""], False), (["gzip"], True), (["GZip"], True), (["x-gzip"], True), (["deflate, gzip;q=0.5"], True),
        (["gzip;q=0"], False), (["gzip;q=0.000"], False), (["gzip ; Q=0.001"], True), (["*"], True), (["*;q=0"], False),
        (["gzip;q=0, *"], False), (["gzip, *;q=0"], True), (["br", "gzip"], True), (["identity"], False), (["br"], False),
        (["gzip;q=2"], False), (["gzip;q=-1"], False), (["gzip;q="], False), (["gzip;level=9"], False), (["gzipped"], False),
        ([",,gzip,,"], True), (["gzip\x00"], False), (["gzip;q=nan"], False), (["," * 100_000], False),
    ],
)  # fmt: skip
def test_accept_encoding_is_read_as_rfc_9110_says(fields, taken):
    assert accepts_gzip(fields) is taken


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ([], False), ([""], False), (['"a"'], True), (['W/"a"'], True), (['"b", "a"'], True), (['"b"', '"a"'], True), (["*"], True),
        (['"b"'], False), (["a"], False), (['"A"'], False), (['"a'], False), (['"aa"'], False), (['"x, a, y"'], False),
        (['"" , "a"'], True), (["**"], False),
    ],
)  # fmt: skip
def test_if_none_match_is_read_as_rfc_9110_says(fields, held):
    assert is_held(fields, '"a"') is held


@pytest.mark.parametrize("more", [(), (GZIP,)])
def test_head_says_what_get_would(front, more):
    answer, head = (front.send(method, "/auth/client.js", headers=more) for method in ("GET", "HEAD"))
    assert (head.status, head.body) == (200, b"")
    assert head.reply.raw_headers() == answer.reply.raw_headers()
    tag = (b"if-none-match", answer.header("ETag").encode())
    answer, head = (front.send(method, "/auth/client.js", headers=[*more, tag]) for method in ("GET", "HEAD"))
    assert (head.status, head.reply.raw_headers()) == (304, answer.reply.raw_headers())


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE"])
def test_it_is_read_only(front, method):
    answer = front.send(method, "/auth/client.js", headers=PAGE)
    assert answer.seen == (405, "method_not_allowed")
    assert answer.header("Allow") == "GET, HEAD, OPTIONS"


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize(
    "path",
    ["client", "client/", "client.js/", "client/client.js", "client/../client.js", "../client/client.js", "/client.js",
     "Client.js", "CLIENT.JS", "client.JS", "client-nope.js", "client-*.js", "client-.js", "client-tabs",
     "client-tabs.js", "client.js/x", "client-types.d.ts", "client.js\x00", "client.js\n", "client.js/../client.js", "client-tabs.js/x",
     "client-tabs.d.ts", "client.d.ts", "client.js.map", "client-tabs.js.map", "package.json", "other.js", "client-../client.js",
     "client-tabs.js\x00", "client-tabs.js\n", "client.js?x", "client-tabs.js/../client.js", "Client-x.js", "clienť.js"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_nothing_else_of_the_folder_or_outside_is_ever_served(front, method, path):
    assert front.send(method, f"/auth/{path}").status == 404


def test_an_installation_without_the_folder_has_no_client_and_works(front, monkeypatch, tmp_path):
    nothing = read(tmp_path / "nowhere" / "client.js")
    monkeypatch.setattr(client, "shipped", lambda: nothing)
    assert front.send("GET", "/auth/client.js").seen == (404, "not_found")
    assert front.device().refresh().status == 200


@pytest.mark.ids("XS-09", "CK-12")
def test_a_page_of_a_configured_origin_may_import_it_and_no_other(front):
    mine = front.send("GET", "/auth/client.js", headers=[(b"origin", APP.encode())])
    assert mine.header("Access-Control-Allow-Origin") == APP
    other = front.send("GET", "/auth/client.js", headers=[(b"origin", b"https://evil.example")])
    assert other.header("Access-Control-Allow-Origin") is None
    for answer in (mine, other):  # and a cache between keeps their answers apart
        assert {value for name, value in answer.reply.headers if name == "Vary"} == {"Accept-Encoding", "Origin"}


def test_neither_store_nor_clock_nor_throttle_nor_session_is_asked(front):
    device = front.device()
    front.store.calls.clear()

    read = []

    def clock() -> datetime:
        read.append(1)
        return front.clock()

    class Closed:
        async def admit(self, attempt):
            raise AssertionError("nobody is counted")

    with front.service.override(clock=clock, throttle=Closed()):
        read.clear()
        path = "/auth/client.js"
        answers = [
            front.send("GET", path),
            device.call("GET", path),
            device.send("GET", path, cookies=f"{REFRESH}=x".encode()),
        ]
    assert [(answer.status, answer.body, answer.set_cookies) for answer in answers] == [(200, TEXT, [])] * 3
    assert (front.store.calls, read) == ([], [])


def test_the_prefix_moves_it(folder):
    front = a_front(settings_with(prefix="/api/session"))
    assert front.send("GET", "/api/session/client.js").status == 200
    assert not front.service.answers("/auth/client.js")


# --- the package -------------------------------------------------------------------------------------------------------


def test_the_packages_own_client_is_served_whole():
    _client_files.shipped.cache_clear()
    (here,) = (Path(_client_files.__file__).parent / "client").glob("*.js")
    assert a_front().send("GET", f"/auth/{here.name}").body == here.read_bytes()


def test_it_is_read_out_of_a_zip_too(folder, tmp_path):
    package = tmp_path / "package.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.write(folder / "client.js", "keyturn/client/client.js")
    with zipfile.ZipFile(package) as archive:
        assert read(zipfile.Path(archive, "keyturn/client/") / "client.js") == read(folder / "client.js")


def test_an_error_page_is_never_kept(front):
    for method, path in (("POST", "/auth/client.js"), ("GET", "/auth/client-nope.js")):
        assert front.send(method, path).header("Cache-Control") == "no-store"


def test_a_form_does_not_print_the_whole_client(folder):
    file = read(folder / "client.js")
    assert "createClient" not in repr(replace(file))
