"""`keyturn serve --demo`, as a process of its own: the configured server, and a page for whoever sits in front of it."""

import re
import signal
import threading
from datetime import timedelta
from importlib import import_module

import pytest

from keyturn.cli._common import ConfigFile, RefusedError
from tests.support.demo_browser import AnswerLostError, Browser
from tests.support.serve_process import run_keyturn, served, start

INVITES = re.compile(r"Open (http://127\.0\.0\.1:\d+)/ and sign in as ada with the password ([0-9a-f]{16})\.")
PEOPLE = {"ada": "correct horse battery", "grace": "battery staple correct"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("demo"), "--demo") as server:
        yield server


@pytest.fixture(scope="module")
def password(server):
    found = INVITES.search(server.output)
    assert found, server.output
    assert found[1] == server.address
    return found[2]


@pytest.fixture
def ada(server, password):
    browser = Browser(server.port)
    browser.sign_in("ada", password)
    return browser


def test_a_folder_with_nothing_in_it_is_enough_to_sign_in(server, password, ada):
    about = ada.get("/demo/about").body
    assert (about["kind"], about["username"], about["password"]) == ("serve", "ada", password)
    assert (about["settings"]["access_token_lifetime"], about["settings"]["leeway"]) == (30, 3)
    assert "kt_refresh" in ada.cookies  # no prefix and not Secure: WebKit keeps them on http://localhost too
    assert ada.get("/").headers["content-type"] == "text/html; charset=utf-8"
    assert ada.me().status == 200
    assert server.call("GET", "/health/ready").status == 200


def test_the_thief_is_caught_and_named(tmp_path):
    with served(tmp_path, "--demo", more={"KEYTURN_LEEWAY": "0s"}) as server:  # no leeway has to pass
        ada = Browser(server.port)
        about = ada.get("/demo/about").body
        assert about["settings"]["leeway"] == 0
        ada.sign_in("ada", about["password"])
        copy = ada.post("/demo/thief/copy").body
        refused = ada.post("/demo/thief/replay", {"id": copy["id"], "with_binding": False}).body
        assert refused["answer"]["code"] == "binding_mismatch"
        ada.refresh()
        assert ada.me().status == 200
        caught = ada.post("/demo/thief/replay", {"id": copy["id"], "with_binding": True}).body
        assert (caught["answer"]["status"], caught["answer"]["code"]) == (401, "session_ended")
        alarm = next(event for event in ada.events() if event["type"] == "ReuseDetected")
        assert (alarm["session"], alarm["detail"]["behind"]) == (ada.session, 1)
        assert alarm["detail"]["client"] == "203.0.113.66"
        assert ada.refresh().code == "session_ended"


def test_an_answer_lost_on_the_wire_signs_nobody_out(server, ada):
    assert ada.post("/demo/lose").status == 204
    with pytest.raises(AnswerLostError) as lost:
        ada.refresh()
    assert lost.value.headers.get_all("Set-Cookie") is None
    assert ada.refresh().status == 200
    kinds = [event["type"] for event in ada.events() if event["session"] == ada.session]
    assert kinds[:3] == ["SessionStarted", "SessionRefreshed", "AnswerLost"]
    assert kinds[3] in ("RefreshReissued", "RefreshRecovered")  # by how long this machine took
    assert "without completing response" not in server.output


def test_the_metrics_know_the_routes_and_no_made_up_names(server, ada):
    for path in ("/", "/demo/about", "/demo/made-up.js", "/demo/page.css"):
        ada.get(path)
    ada.post("/demo/thief/replay", {"id": "x"})
    counted = set(re.findall(r'route="([^"]*)"', server.call("GET", "/metrics").text))
    assert {"/", "/demo/about", "/demo/{name}", "/demo/thief/replay"} <= counted
    assert [route for route in counted if "made-up" in route or "page.css" in route] == []


@pytest.mark.ids("ST-01")
def test_no_secret_is_logged_and_the_password_is_said_once(server, password, ada):
    ada.post("/demo/thief/replay", {"id": ada.post("/demo/thief/copy").body["id"]})
    ada.get("/demo/events")
    ada.post("/demo/lose")
    with pytest.raises(AnswerLostError):
        ada.refresh()
    ada.refresh()
    told = [answer.told for answer in ada.heard]
    assert ada.leaks("\n".join(told)) == []
    assert server.output.count(password) == 1
    assert ada.leaks(server.output.replace(password, "")) == []


def test_the_next_start_tells_a_new_password_and_stops_although_a_page_waits(tmp_path):
    told = []
    for _ in range(2):
        server = start(tmp_path, "--demo", "--port", "0")
        try:
            server.wait_until_ready()
            browser = Browser(server.port)
            about = browser.get("/demo/about").body
            browser.sign_in("ada", about["password"])
            told.append(about["password"])
            last = browser.get("/demo/events").body["last"]
            waits = threading.Thread(target=browser.get, args=(f"/demo/events?after={last}",))
            waits.start()
        finally:
            code = server.stop(signal.SIGTERM)
        waits.join()
        assert code == 0
        assert "exceeded" not in server.output  # uvicorn's word for an answer that it had to break off
        assert "Cancel" not in server.output
    assert told[0] != told[1]


def test_people_with_accounts_sign_in_with_their_own(tmp_path):
    with served(tmp_path, "--demo", users=PEOPLE) as server:
        assert f"Open {server.address}/ and sign in with one of your accounts." in server.output
        grace = Browser(server.port)
        about = grace.get("/demo/about").body
        assert (about["username"], about["password"]) == (None, None)
        grace.sign_in("grace", PEOPLE["grace"])
        assert grace.me().status == 200
        assert grace.post("/demo/thief/copy").body["generation"] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--host", "0.0.0.0"), "it would listen at 0.0.0.0"),
        (("--workers", "2"), "each of 2 workers"),
        (("--config", "public.toml"), "the issuer is https://id.example.org"),
    ],
)
def test_anywhere_else_it_refuses_and_makes_nothing(tmp_path, monkeypatch, arguments, says):
    (tmp_path / "public.toml").write_text('[keyturn]\nissuer = "https://id.example.org"\n')
    monkeypatch.chdir(tmp_path)
    command = import_module("keyturn.cli.serve")
    with pytest.raises(RefusedError) as refused:
        command.serve.main(["--demo", "--port", "0", *arguments], standalone_mode=False)
    assert says in refused.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["public.toml"]


def test_the_refusal_is_one_plain_sentence_and_exit_code_1(tmp_path):
    done = run_keyturn(tmp_path, "serve", "--demo", "--host", "0.0.0.0", "--workers", "2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "--demo tells a password and plays attacks: that is for this machine only, and for one worker. Here it would "
        "listen at 0.0.0.0, and each of 2 workers would know a part of what happens. Leave --demo out, or change that.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_of_ones_own_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keyturn.toml").write_text('[keyturn]\nissuer = "http://localhost:8000"\nleeway = "9s"\n')
    command = import_module("keyturn.cli.serve")
    settings = command._read(ConfigFile(), {}, demo=True).settings
    assert (settings.leeway, settings.access_token_lifetime) == (timedelta(seconds=9), timedelta(minutes=5))
    assert settings.profile == "browser"
