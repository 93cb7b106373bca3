"""The demonstration's routes: what they give, to whom, and to whom not; `keyturn demo`'s application is served here."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import anyio
import anyio.lowlevel
import httpx
import pytest

from keyturn.server import demo_page
from keyturn.server.demo_app import Demo, build
from keyturn.server.demo_files import POLICY
from keyturn.server.demo_line import LINE
from keyturn.server.serving import listen, served
from tests.support.demo_browser import AnswerLostError, Browser

PASSWORD = "a password of the demonstration"
JSON_ROUTES = ["/demo/about", "/demo/events?after=0&wait=0", "/demo/me"]
POSTS = ["/demo/thief/copy", "/demo/thief/replay", "/demo/lose"]
PAGES = ["/", "/demo/index.html", "/demo/evil"]


@contextmanager
def shown(folder: Path) -> Iterator[tuple[Demo, int]]:
    listening = listen()
    port = listening.getsockname()[1]
    demo = build(folder, f"http://127.0.0.1:{port}", PASSWORD)
    with closing(demo.store), served(demo.app, listening), demo.goes_on():
        yield demo, port


@pytest.fixture(scope="module")
def stays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, int]]:
    with shown(tmp_path_factory.mktemp("demo")) as both:
        yield both


@pytest.fixture
def demo(stays: tuple[Demo, int]) -> Demo:
    return stays[0]


@pytest.fixture
def browser(stays: tuple[Demo, int]) -> Browser:
    return Browser(stays[1])


@pytest.fixture
def ada(browser: Browser) -> Browser:
    browser.sign_in("ada", PASSWORD)
    return browser


def later(demo: Demo) -> None:
    """Let the leeway pass."""
    demo.clock.travel(timedelta(seconds=10))


class TestThePage:
    def test_it_comes_with_a_strict_policy_and_nobody_frames_it(self, browser: Browser) -> None:
        answer = browser.get("/")
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert policy == POLICY
        for rule in (
            "script-src 'self'",
            "require-trusted-types-for 'script'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ):
            assert rule in policy.split("; ")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"

    def test_a_file_is_asked_for_anew_and_not_sent_again(self, browser: Browser) -> None:
        first = browser.get("/demo/index.html")
        assert first.headers["cache-control"] == "no-cache"
        again = browser.get("/demo/index.html", If_None_Match=first.headers["etag"])
        assert (again.status, again.text) == (304, "")
        assert again.headers["content-security-policy"] == POLICY
        assert browser.get("/demo/index.html", If_None_Match='"another"').status == 200

    def test_head_has_the_fields_and_no_body(self, browser: Browser) -> None:
        answer = browser.send("HEAD", "/")
        assert (answer.status, answer.text) == (200, "")
        assert int(answer.headers["content-length"]) > 100

    @pytest.mark.parametrize(
        "name",
        ["nothing.js", "page", "..", "%2e%2e%2fdemo_page.py", "__init__.py", ".index.html", "INDEX.html", "a.b.js"],
    )
    def test_nothing_else_is_handed_out(self, browser: Browser, name: str) -> None:
        assert browser.get(f"/demo/{name}").status == 404

    def test_what_changes_is_never_stored(self, browser: Browser) -> None:
        for path in [*JSON_ROUTES, "/demo/evil", "/demo/nothing.js"]:
            assert browser.get(path).headers["cache-control"] == "no-store"
        for path in POSTS:
            assert browser.post(path).headers["cache-control"] == "no-store"


class TestWhoMayAsk:
    @pytest.mark.parametrize("path", [*JSON_ROUTES, *PAGES])
    @pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "10.0.0.1:80"])
    def test_another_name_for_this_machine_is_refused(self, browser: Browser, path: str, host: str) -> None:
        answer = browser.get(path, Host=host)
        assert (answer.status, answer.code) == (421, "misdirected_request")
        assert PASSWORD not in answer.told

    @pytest.mark.parametrize("path", POSTS)
    def test_nor_may_it_do_anything(self, browser: Browser, path: str) -> None:
        assert browser.post(path, {}, Host="evil.example").status == 421

    @pytest.mark.parametrize("host", ["localhost", "localhost:1", "[::1]:8000", "127.0.0.1", "app.localhost:3"])
    def test_every_name_that_can_only_be_this_machine_is_good(self, browser: Browser, host: str) -> None:
        assert browser.get("/demo/about", Host=host).status == 200

    @pytest.mark.anyio
    @pytest.mark.parametrize("path", [*JSON_ROUTES, *PAGES])
    @pytest.mark.parametrize("peer", ["192.168.1.5", "10.0.0.1", "203.0.113.7", "fe80::1", "", "testclient"])
    async def test_another_machine_is_refused_whatever_it_says(self, demo: Demo, path: str, peer: str) -> None:
        transport = httpx.ASGITransport(app=demo.app, client=(peer, 40_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_here")
        assert PASSWORD not in answer.text

    @pytest.mark.parametrize("field", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
    def test_behind_a_proxy_everybody_is_refused(self, browser: Browser, field: str) -> None:
        assert browser.send("GET", "/demo/about", headers={field: "127.0.0.1"}).code == "not_here"

    @pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
    @pytest.mark.parametrize("path", JSON_ROUTES)
    def test_a_page_of_another_site_reads_nothing(self, browser: Browser, path: str, site: str) -> None:
        answer = browser.get(path, Sec_Fetch_Site=site)
        assert (answer.status, answer.code) == (403, "cross_site")
        assert PASSWORD not in answer.told

    @pytest.mark.parametrize("path", JSON_ROUTES)
    def test_no_answer_may_be_read_by_another_origin(self, browser: Browser, path: str) -> None:
        for origin in ("http://localhost:3000", "https://evil.example"):
            answer = browser.get(path, Origin=origin)
            assert "access-control-allow-origin" not in answer.headers
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert browser.send("OPTIONS", path, headers={"Origin": origin}).status == 405

    @pytest.mark.parametrize(
        "fields",
        [
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site", "Origin": "http://localhost:3000"},
            {"Sec_Fetch_Site": "none"},
            {"Sec_Fetch_Site": None},
            {"Sec_Fetch_Site": None, "Origin": "null"},
            # Another program's page on this machine, in a browser that says no more: development takes it elsewhere.
            {"Sec_Fetch_Site": None, "Origin": "http://localhost:3000"},
            {"Sec_Fetch_Site": "cross-site", "Keyturn_Client": "page"},
        ],
    )
    @pytest.mark.parametrize("path", POSTS)
    def test_nobody_else_plays_the_thief(self, browser: Browser, path: str, fields: dict[str, str | None]) -> None:
        answer = browser.post(path, {"id": "x", "with_binding": True}, **fields)
        assert (answer.status, answer.code) == (403, "cross_site")

    def test_a_browser_that_only_names_the_origin_may(self, ada: Browser) -> None:
        here = f"http://127.0.0.1:{ada.port}"
        assert ada.post("/demo/thief/copy", Sec_Fetch_Site=None, Origin=here).status == 200

    @pytest.mark.parametrize("path", POSTS)
    def test_a_wrong_method_is_told_the_right_one(self, browser: Browser, path: str) -> None:
        answer = browser.get(path)
        assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", "POST")


class TestAbout:
    def test_it_says_who_may_sign_in_and_at_what_pace_it_goes(self, browser: Browser) -> None:
        about = browser.get("/demo/about").body
        assert (about["kind"], about["username"], about["password"]) == ("demo", "ada", PASSWORD)
        settings = about["settings"]
        assert (settings["access_token_lifetime"], settings["leeway"], settings["clock_skew"]) == (30, 3, 0)
        assert settings["issuer"] == f"http://127.0.0.1:{browser.port}"
        names = ("prefix", "refresh_cookie", "binding_cookie")
        assert [settings[name] for name in names] == ["/auth", "kt_refresh", "kt_bind"]
        for name in ("recovery_window", "idle_lifetime", "session_lifetime", "staleness_bound"):
            assert settings[name] > 0

    def test_the_api_of_the_page_is_guarded(self, browser: Browser) -> None:
        assert browser.get("/demo/me").code == "token_missing"
        browser.sign_in("ada", PASSWORD)
        assert browser.me().body == {"subject": "user-1", "name": "Ada"}
        assert browser.get("/demo/me", Cookie=None, Authorization=f"Bearer {browser.token}").code == "binding_mismatch"


class TestEvents:
    def test_they_tell_what_happened_by_whom_and_where_it_stands(self, ada: Browser) -> None:
        ada.refresh()
        told = [event for event in ada.events() if event["session"] == ada.session]
        assert [(event["type"], event["generation"]) for event in told] == [
            ("SessionStarted", 0),
            ("SessionRefreshed", 1),
        ]
        assert told[0]["detail"]["user_agent"] == "Browser"
        assert told[0]["detail"]["client"] == "127.0.0.1"
        assert told[1]["n"] > told[0]["n"]

    def test_only_what_is_newer_is_told(self, ada: Browser) -> None:
        last = ada.get("/demo/events").body["last"]
        assert ada.events(last) == []
        ada.refresh()
        assert [event["n"] for event in ada.events(last)] == [last + 1]

    def test_each_start_of_the_server_has_a_mark_of_its_own(self, ada: Browser, tmp_path: Path) -> None:
        here = [ada.get("/demo/events").body["run"] for _ in range(2)]
        with shown(tmp_path) as (_, port):
            assert len({*here, Browser(port).get("/demo/events?after=0&wait=0").body["run"]}) == 2

    def test_a_number_from_before_a_restart_gets_all(self, ada: Browser) -> None:
        everything = ada.get("/demo/events").body
        assert everything["events"] != []
        assert ada.get(f"/demo/events?after={everything['last'] + 100}").body == everything

    @pytest.mark.parametrize("number", ["x", "-1", "1e3", "", "99999999999999999999", "\u0661"])
    def test_nonsense_counts_as_no_number(self, ada: Browser, number: str) -> None:
        assert ada.get(f"/demo/events?after={quote(number)}").body["events"] != []

    @pytest.mark.anyio
    async def test_a_question_waits_for_news_and_few_wait_at_once(self, demo: Demo, monkeypatch) -> None:
        monkeypatch.setattr(demo_page, "_MOST_WAITING", 2)
        after = demo.page.events.last
        transport = httpx.ASGITransport(app=demo.app, client=("127.0.0.1", 40_000))
        answers: list[list[str]] = []

        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:

            async def ask() -> None:
                body = (await client.get(f"/demo/events?after={after}")).json()
                answers.append([event["type"] for event in body["events"]])

            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                group.start_soon(ask)
                while demo.page._waiting < 2:
                    await anyio.lowlevel.checkpoint()
                await ask()
                assert answers == [[]]
                demo.page.events.add("News", at="now", detail={})
        assert answers == [[], ["News"], ["News"]]

    @pytest.mark.anyio
    async def test_nobody_waits_on_a_server_that_stops(self, demo: Demo, monkeypatch) -> None:
        monkeypatch.setattr(demo_page, "LONGEST_WAIT_SECONDS", 1e9)

        class Ending:
            ends = True

        async def app(scope, receive, send) -> None:
            await demo.app({**scope, LINE: Ending()}, receive, send)

        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 40_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.get(f"/demo/events?after={demo.page.events.last}")
        assert answer.json()["events"] == []


class TestTheThief:
    def test_a_replay_of_what_was_copied_ends_the_session_for_both(self, ada: Browser, demo: Demo) -> None:
        copy = ada.post("/demo/thief/copy").body
        assert copy["generation"] == 0
        for _ in range(2):
            later(demo)
            ada.refresh()
            assert ada.me().status == 200
        later(demo)
        done = ada.post("/demo/thief/replay", {"id": copy["id"], "with_binding": True}).body
        assert (done["answer"]["status"], done["answer"]["code"]) == (401, "session_ended")
        assert done["answer"]["set_cookie"] == []
        assert done["answer"]["cleared"] == ["kt_refresh", "kt_bind"]
        assert (done["request"]["method"], done["request"]["path"]) == ("POST", "/auth/refresh")
        alarm = next(
            event for event in ada.events() if event["type"] == "ReuseDetected" and event["session"] == ada.session
        )
        assert alarm["detail"]["behind"] == 2
        assert (alarm["detail"]["client"], alarm["detail"]["sign_in_client"]) == ("203.0.113.66", "127.0.0.1")
        assert ada.refresh().code == "session_ended"

    def test_a_refresh_token_without_its_binding_is_refused_and_harms_nobody(self, ada: Browser) -> None:
        copy = ada.post("/demo/thief/copy").body
        done = ada.post("/demo/thief/replay", {"id": copy["id"], "with_binding": False}).body
        assert (done["answer"]["status"], done["answer"]["code"]) == (401, "binding_mismatch")
        assert "kt_bind" not in done["request"]["headers"]["Cookie"]
        assert [
            e["detail"]["code"] for e in ada.events() if e["type"] == "RefreshRefused" and e["session"] == ada.session
        ] == ["binding_mismatch"]
        assert ada.refresh().status == 200

    def test_a_whole_copy_at_once_is_honestly_let_in(self, ada: Browser) -> None:
        copy = ada.post("/demo/thief/copy").body
        done = ada.post("/demo/thief/replay", {"id": copy["id"], "with_binding": True}).body
        assert done["answer"]["status"] == 200
        assert done["answer"]["set_cookie"] == ["kt_refresh", "kt_bind"]

    def test_the_binding_goes_along_unless_it_is_left_at_home(self, ada: Browser) -> None:
        copy = ada.post("/demo/thief/copy").body
        done = ada.post("/demo/thief/replay", {"id": copy["id"]}).body
        assert "kt_bind=" in done["request"]["headers"]["Cookie"]

    @pytest.mark.ids("SE-02")
    def test_after_the_sign_out_a_copy_of_everything_opens_nothing(self, ada: Browser) -> None:
        copy = ada.post("/demo/thief/copy", Authorization=f"Bearer {ada.token}").body
        tried = {"id": copy["id"], "what": "session"}
        before = ada.post("/demo/thief/replay", tried).body
        assert (before["answer"]["status"], before["answer"]["code"]) == (200, "")
        assert (before["request"]["method"], before["request"]["path"]) == ("GET", "/auth/session")
        without = ada.post("/demo/thief/replay", {**tried, "with_binding": False}).body
        assert without["answer"]["code"] == "binding_mismatch"
        ada.post("/auth/logout")
        after = ada.post("/demo/thief/replay", tried).body
        assert (after["answer"]["status"], after["answer"]["code"]) == (401, "session_ended")
        assert set(after["request"]["headers"]) == {"User-Agent", "Keyturn-Client", "Authorization", "Cookie"}
        assert after["request"]["headers"]["Authorization"].startswith("Bearer ")
        assert ada.leaks(ada.heard[-1].told) == []

    def test_a_copy_without_an_access_token_has_none(self, ada: Browser) -> None:
        copy = ada.post("/demo/thief/copy").body
        tried = ada.post("/demo/thief/replay", {"id": copy["id"], "what": "session"}).body
        assert tried["answer"]["code"] == "token_missing"
        assert "Authorization" not in tried["request"]["headers"]

    def test_a_form_that_comes_with_the_cookies_all_the_same_is_refused(self, ada: Browser) -> None:
        copy = ada.post("/demo/thief/copy").body
        told = ada.get("/demo/events").body["last"]
        tried = ada.post("/demo/thief/replay", {"id": copy["id"], "what": "form"}).body
        assert (tried["answer"]["status"], tried["answer"]["code"]) == (403, "cross_site")
        assert (tried["answer"]["set_cookie"], tried["answer"]["cleared"]) == ([], [])
        assert tried["request"]["headers"]["Sec-Fetch-Site"] == "cross-site"
        assert "Keyturn-Client" not in tried["request"]["headers"]
        assert [event["type"] for event in ada.events(told)] == []  # it is the thief's, not what the frame has sent
        assert ada.me().status == 200

    @pytest.mark.parametrize("path", ["/demo/thief/copy", "/demo/lose"])
    def test_where_nobody_is_signed_in_there_is_nothing_to_take(self, browser: Browser, path: str) -> None:
        assert (browser.post(path).status, browser.post(path).code) == (409, "no_session")
        browser.cookies = {"kt_refresh": "kt1." + "A" * 71, "kt_bind": "B" * 43}
        assert browser.post(path).code == "no_session"

    def test_an_unknown_copy_is_none(self, ada: Browser) -> None:
        for body in ({}, {"id": "never"}):
            assert ada.post("/demo/thief/replay", body).code == "not_found"

    @pytest.mark.parametrize("body", [{"id": 7}, {"id": "x", "with_binding": "yes"}, {"id": "x", "what": "login"}, []])
    def test_a_body_of_another_shape_is_refused(self, ada: Browser, body: object) -> None:
        answer = ada.post("/demo/thief/replay", body)
        assert (answer.status, answer.code) == (400, "invalid_request")

    def test_so_many_copies_are_kept_and_for_so_long(self, ada: Browser, demo: Demo) -> None:
        ids = [ada.post("/demo/thief/copy").body["id"] for _ in range(17)]
        assert len(set(ids)) == 17
        assert ada.post("/demo/thief/replay", {"id": ids[0]}).code == "not_found"
        assert ada.post("/demo/thief/replay", {"id": ids[1], "with_binding": False}).status == 200
        demo.clock.travel(timedelta(hours=1))
        assert ada.post("/demo/thief/replay", {"id": ids[16], "with_binding": False}).code == "not_found"


class TestALostAnswer:
    def lose(self, ada: Browser) -> None:
        assert ada.post("/demo/lose").status == 204
        with pytest.raises(AnswerLostError) as lost:
            ada.refresh()
        assert lost.value.headers.get_all("Set-Cookie") is None

    def kinds(self, ada: Browser) -> list[str]:
        return [event["type"] for event in ada.events() if event["session"] == ada.session]

    def test_trying_again_at_once_gives_the_same_successor(self, ada: Browser) -> None:
        self.lose(ada)
        assert ada.refresh().status == 200
        assert self.kinds(ada) == ["SessionStarted", "SessionRefreshed", "AnswerLost", "RefreshReissued"]
        assert ada.me().status == 200

    def test_coming_back_later_is_recovered(self, ada: Browser, demo: Demo) -> None:
        self.lose(ada)
        later(demo)
        assert ada.refresh().status == 200
        assert self.kinds(ada)[-1] == "RefreshRecovered"
        assert ada.me().status == 200

    def test_one_answer_is_lost_and_only_of_that_browser(self, ada: Browser) -> None:
        other = Browser(ada.port)
        other.sign_in("ada", PASSWORD)
        assert ada.post("/demo/lose").status == 204
        assert other.refresh().status == 200
        with pytest.raises(AnswerLostError):
            ada.refresh()
        assert [ada.refresh().status for _ in range(2)] == [200, 200]

    def test_nothing_but_a_refresh_is_lost(self, ada: Browser) -> None:
        ada.post("/demo/lose")
        assert ada.me().status == 200
        assert ada.post("/demo/thief/copy").status == 200
        assert ada.get("/auth/session", Authorization=f"Bearer {ada.token}").status == 200

    def test_what_was_asked_for_long_ago_is_forgotten(self, ada: Browser, demo: Demo) -> None:
        ada.post("/demo/lose")
        demo.clock.travel(timedelta(minutes=11))
        assert ada.refresh().status == 200


class TestTheStranger:
    def test_the_page_belongs_to_no_origin_and_may_be_framed_by_ours_alone(self, browser: Browser) -> None:
        answer = browser.get("/demo/evil")
        rules = answer.headers["content-security-policy"].split("; ")
        assert "sandbox allow-forms allow-scripts" in rules  # no allow-same-origin: its origin is null
        assert "frame-ancestors 'self'" in rules
        assert "default-src 'none'" in rules
        assert f'action="http://127.0.0.1:{browser.port}/auth/logout"' in answer.text

    @pytest.mark.parametrize("host", ["localhost:80;script-src *", 'localhost:"><b>', "localhost:x y"])
    def test_no_host_writes_into_it(self, browser: Browser, host: str) -> None:
        answer = browser.get("/demo/evil", Host=host)
        assert host.partition(":")[2] not in answer.told
        assert f"form-action http://127.0.0.1:{browser.port};" in answer.headers["content-security-policy"]

    @pytest.mark.parametrize("port", ["", ":8000"])
    def test_by_an_address_that_a_policy_cannot_name_it_may_send_its_form_too(
        self, browser: Browser, port: str
    ) -> None:
        answer = browser.get("/demo/evil", Host=f"[::1]{port}")
        assert f'action="http://[::1]{port}/auth/logout"' in answer.text
        rules = answer.headers["content-security-policy"].split("; ")
        assert {"form-action http:", "frame-src http:"} <= set(rules)

    def test_what_its_form_tries_is_refused_and_told(self, ada: Browser) -> None:
        # As a browser sends it: without the cookies, which are SameSite=Strict, and from no origin.
        form = {"Origin": "null", "Sec_Fetch_Site": "cross-site", "Content_Type": "application/x-www-form-urlencoded"}
        ada.post("/auth/logout", **form, Cookie=None)
        told = ada.events()[-1]
        assert told["type"] == "StrangerAsked"
        assert told["detail"] == {
            "method": "POST", "path": "/auth/logout", "site": "cross-site", "origin": "null", "cookies": [],
            "status": 204, "code": "",
        }  # fmt: skip
        # And what would happen if they came along all the same.
        answer = ada.post("/auth/logout", **form)
        assert answer.code == "cross_site"
        assert ada.events()[-1]["detail"]["cookies"] == ["kt_bind", "kt_refresh"]
        assert ada.me().status == 200

    def test_our_own_sign_out_is_no_stranger(self, ada: Browser) -> None:
        assert ada.post("/auth/logout").status == 204
        assert ada.events()[-1]["type"] == "SessionEnded"


@pytest.mark.ids("ST-01")
def test_nothing_that_was_issued_is_in_any_answer_or_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with shown(tmp_path) as (demo, port):
        ada = Browser(port)
        ada.sign_in("ada", PASSWORD)
        copy = ada.post("/demo/thief/copy", Authorization=f"Bearer {ada.token}").body
        ada.post("/demo/thief/replay", {"id": copy["id"], "with_binding": False})
        for what in ("session", "form"):
            ada.post("/demo/thief/replay", {"id": copy["id"], "what": what})
        ada.post("/demo/lose")
        with pytest.raises(AnswerLostError):
            ada.refresh()
        ada.post("/auth/logout", Origin="null", Sec_Fetch_Site="cross-site")
        for _ in range(2):
            later(demo)
            ada.refresh()
            ada.me()
        ada.post("/demo/thief/replay", {"id": copy["id"]})
        ada.post("/auth/login", {"username": ada.token, "password": "wrong" + PASSWORD})
        ada.get(f"/demo/{ada.token}.js")
        ada.post("/demo/thief/replay", {"id": ada.cookies.get("kt_refresh", "x"), "with_binding": ada.token})
        ada.get("/demo/evil")
        events = ada.get("/demo/events").body["events"]
    assert {"SessionStarted", "AnswerLost", "StrangerAsked", "ReuseDetected", "LoginFailed"} <= {
        e["type"] for e in events
    }
    assert len(ada.secrets) > 5
    for answer in ada.heard:
        assert ada.leaks(answer.told) == []
    assert ada.leaks(caplog.text) == []
    out, err = capfd.readouterr()
    assert ada.leaks(out + err) == []
    # The check itself can fail.
    assert ada.leaks(f"... {ada.token} ...") == [ada.token]
