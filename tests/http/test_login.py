"""Sign-in by password: what it gives, what it never adopts, and that its refusals are all alike."""

from datetime import timedelta

import pytest

from keyturn._colour import drive
from keyturn.events import LoginFailed, SessionEnded, SessionStarted
from keyturn.settings import CookieSettings
from keyturn.throttle import Admission
from tests.support.front import (
    ACCESS,
    BIND,
    PAGE,
    PASSWORD,
    REFRESH,
    Members,
    a_front,
    basic,
    bearer,
    settings_with,
)


def sign_in(front, username="alice", password=PASSWORD, *, headers=PAGE, cookies={}, **more):  # noqa: B006
    body = {"username": username, "password": password, **more}
    return front.send("POST", "/auth/login", json=body, headers=headers, cookies=cookies)


@pytest.mark.ids("RT-13", "CK-07")
def test_a_cookie_session_gives_its_refresh_token_in_a_cookie_alone():
    answer = sign_in(a_front())
    assert answer.status == 200
    assert sorted(answer.cookies) == [BIND, REFRESH]
    assert list(answer.json) == [
        "access_token",
        "token_type",
        "expires_in",
        "session_id",
        "scope",
        "refresh_expires_in",
    ]
    assert "kt1." not in answer.body.decode()
    assert answer.cookies[BIND] not in answer.body.decode()


def test_a_body_session_gives_it_in_the_body_alone():
    answer = sign_in(a_front(), transport="body")
    assert answer.cookies == {}
    assert answer.json["refresh_token"].startswith("kt1.")
    assert (answer.json["expires_in"], answer.json["refresh_expires_in"]) == (300, 30 * 86400)


@pytest.mark.ids("RT-13", "CK-07")
def test_with_access_in_cookie_no_token_is_in_the_body():
    answer = sign_in(a_front(settings_with(cookie=CookieSettings(access_in_cookie=True))))
    assert sorted(answer.cookies) == [ACCESS, BIND, REFRESH]
    assert "access_token" not in answer.json
    assert answer.cookies[ACCESS] not in answer.body.decode()


def test_http_basic_with_an_empty_body_implies_the_body_transport():
    front = a_front()
    answer = front.send("POST", "/auth/login", headers=[basic("alice", PASSWORD)])
    assert (answer.status, answer.cookies) == (200, {})
    assert answer.json["refresh_token"].startswith("kt1.")
    assert front.send("POST", "/auth/login", headers=[basic("alice", "no")]).seen == (401, "invalid_credentials")


@pytest.mark.ids("HT-01")
def test_a_refused_basic_sign_in_never_opens_the_browsers_own_dialogue():
    answer = a_front().send("POST", "/auth/login", headers=[basic("alice", "no")])
    assert answer.header("WWW-Authenticate").startswith("Bearer ")
    assert "error" not in answer.header("WWW-Authenticate")


@pytest.mark.ids("M53")
def test_http_basic_is_refused_where_bodies_carry_no_refresh_tokens():
    front = a_front(settings_with(transports=("cookie",)))
    answer = front.send("POST", "/auth/login", headers=[*PAGE, basic("alice", PASSWORD)])
    assert (answer.seen, front.members.hashed) == ((400, "invalid_request"), 0)


@pytest.mark.parametrize(
    ("transports", "default"), [(("cookie", "body"), "cookie"), (("body", "cookie"), "body"), (("body",), "body")]
)
def test_the_first_transport_of_the_settings_is_the_default(transports, default):
    front = a_front(settings_with(transports=transports))
    assert ("refresh_token" in sign_in(front).json) is (default == "body")
    other = sign_in(front, transport="cookie")
    assert other.status == (200 if "cookie" in transports else 400)


# --- enumeration ---------------------------------------------------------------------------------------------------


@pytest.mark.ids("AU-06")
@pytest.mark.parametrize("transport", ["cookie", "body"])
def test_unknown_user_wrong_password_and_disabled_user_are_the_same_answer_and_the_same_work(transport):
    front = a_front()
    cases = [("nobody", PASSWORD), ("alice", "wrong"), ("mallory", PASSWORD), ("mallory", "wrong"), ("'; --", "x")]
    answers, work = [], []
    for username, password in cases:
        hashed, asked, loads = front.members.hashed, len(front.store.calls), front.members.loads
        answers.append(sign_in(front, username, password, transport=transport))
        work.append((front.members.hashed - hashed, len(front.store.calls) - asked, front.members.loads - loads))
    assert {answer.seen for answer in answers} == {(401, "invalid_credentials")}
    assert len({(answer.body, answer.reply.raw_headers().__repr__()) for answer in answers}) == 1
    assert set(work) == {(1, 0, 0)}


@pytest.mark.ids("AU-06")
def test_basic_refusals_are_alike_too():
    front = a_front()
    answers = [
        front.send("POST", "/auth/login", headers=[basic(*pair)])
        for pair in (("nobody", "x"), ("alice", "x"), ("mallory", PASSWORD))
    ]
    assert len({(answer.status, answer.body, repr(answer.reply.raw_headers())) for answer in answers}) == 1


@pytest.mark.ids("AU-06")
def test_a_scope_that_is_not_held_is_told_only_to_who_knows_the_password():
    front = a_front()
    assert sign_in(front, scope="admin").seen == (400, "invalid_scope")
    assert sign_in(front, password="wrong", scope="admin").seen == (401, "invalid_credentials")
    assert front.picture()[0] == {}


def test_scope_is_what_was_asked_for_and_is_held():
    assert sign_in(a_front(), scope="read").json["scope"] == "read"
    assert sign_in(a_front()).json["scope"] == "read write"
    assert sign_in(a_front(), scope='re"ad').seen == (400, "invalid_scope")


# --- fixation and adoption -----------------------------------------------------------------------------------------


@pytest.mark.ids("SE-01", "M40")
def test_a_strangers_refresh_cookie_in_a_login_is_never_adopted_and_left_alone():
    front = a_front()
    alice = front.device("alice")
    theirs = dict(alice.jar)
    answer = sign_in(front, "bob", cookies=theirs)
    assert answer.status == 200
    assert answer.json["session_id"] != alice.session_id
    assert front.service.verifier.verify(answer.json["access_token"], binding=answer.cookies[BIND]).subject == "u-bob"
    assert answer.cookies[REFRESH] != theirs[REFRESH]
    assert answer.cookies[BIND] != theirs[BIND]
    assert front.row(alice).ended_at is None


@pytest.mark.ids("SE-01", "M40")
def test_a_strangers_refresh_token_in_the_body_of_a_login_is_never_adopted():
    front = a_front()
    alice = front.device("alice", page=False)
    answer = sign_in(front, "bob", transport="body", refresh_token=alice.refresh_token)
    assert answer.json["session_id"] != alice.session_id
    assert front.row(alice).ended_at is None


@pytest.mark.ids("SE-01")
@pytest.mark.parametrize("page", [True, False])
def test_signing_in_again_ends_the_same_users_session_that_was_presented(page):
    front = a_front()
    old = front.device("alice", page=page)
    more = {} if page else {"transport": "body", "refresh_token": old.refresh_token}
    answer = sign_in(front, "alice", cookies=dict(old.jar), **more)
    assert answer.json["session_id"] != old.session_id
    assert front.row(old).end_reason.value == "ended"
    assert [type(fact) for fact in front.facts][-2:] == [SessionEnded, SessionStarted]


@pytest.mark.ids("SE-01")
def test_a_login_that_fails_leaves_the_presented_session_alone():
    front = a_front()
    old = front.device("alice")
    assert sign_in(front, "alice", "wrong", cookies=dict(old.jar)).status == 401
    assert sign_in(front, "alice", cookies=dict(old.jar), scope="admin").status == 400
    assert front.row(old).ended_at is None


@pytest.mark.ids("M52", "SE-01")
@pytest.mark.parametrize("planted", ["x" * 22, "kt1." + "A" * 71, "kt1.", "", "A" * 5000])
def test_an_id_or_a_token_chosen_by_the_client_is_not_adopted(planted):
    front = a_front()
    cookies = {REFRESH: planted, BIND: "A" * 43, ACCESS: planted}
    answer = sign_in(front, cookies=cookies, session_id="B" * 22, sid="B" * 22)
    assert answer.status == 200
    assert answer.json["session_id"] not in {planted, "B" * 22}
    assert planted not in answer.cookies.values()
    assert answer.cookies[BIND] != "A" * 43
    assert list(front.picture()[0]) == [answer.json["session_id"]]


@pytest.mark.ids("SE-01", "RT-01")
def test_every_login_makes_a_session_of_its_own():
    front = a_front()
    devices = [front.device() for _ in range(5)]
    assert len({device.session_id for device in devices}) == 5
    assert len({device.current for device in devices}) == 5
    assert len({device.jar[BIND] for device in devices}) == 5


# --- the rest of the row -------------------------------------------------------------------------------------------


@pytest.mark.ids("CK-04")
def test_without_remember_the_cookies_end_with_the_browser_and_the_session_after_a_day():
    answer = sign_in(a_front(), remember=False)
    assert all("Max-Age" not in line for line in answer.set_cookies)
    assert answer.json["refresh_expires_in"] == 86400


@pytest.mark.ids("ST-03")
def test_what_a_device_says_of_itself_is_bounded_and_printable():
    front = a_front()
    agent = (b"user-agent", b"Mozilla\x1b[31m\r\n" + b"x" * 5000)
    device = sign_in(front, headers=[*PAGE, agent], device_name="Ana's\nphone \u202e" + "é" * 150)
    row = front.picture()[0][device.json["session_id"]]
    assert row.user_agent.isprintable()
    assert len(row.user_agent) <= 255
    assert row.device_name.startswith("Ana'sphone")
    assert row.device_name.isprintable()
    assert len(row.device_name) <= 100
    assert row.ip == "192.0.2.7"


@pytest.mark.ids("SE-05")
def test_the_limit_refuses_or_ends_the_oldest():
    front = a_front(settings_with(max_sessions=2, on_limit="refuse"))
    first = front.device()
    front.advance(1)
    front.device()
    front.advance(1)
    answer = sign_in(front)
    assert (answer.seen, answer.cookies) == ((409, "session_limit"), {})
    front = a_front(settings_with(max_sessions=2))
    first = front.device()
    for _ in range(2):
        front.advance(1)
        front.device()
    assert front.row(first).end_reason.value == "limit"


@pytest.mark.ids("AU-12")
def test_failures_are_told_and_forgeries_and_trouble_are_not_logins():
    front = a_front()
    sign_in(front, "alice", "wrong")
    sign_in(front, "al\x07ice\n", "wrong")
    sign_in(front, headers=())
    failed = [fact for fact in front.facts if isinstance(fact, LoginFailed)]
    assert [(fact.username, fact.reason) for fact in failed] == [("alice", "invalid_credentials")] * 2
    assert failed[0].client.ip == "192.0.2.7"
    assert "alice" not in repr(failed[0])


class Counting:
    """A throttle that lets so many attempts through."""

    def __init__(self, left):
        self.left = left
        self.attempts = []
        self.successes = []

    async def admit(self, attempt):
        self.attempts.append(attempt)
        return Admission(wait=None if len(self.attempts) <= self.left else timedelta(seconds=2.5))

    async def succeeded(self, attempt, admission, *, now, browser):
        self.successes.append(attempt)


@pytest.mark.ids("AU-08", "RT-16", "HT-06")
def test_the_throttle_is_asked_before_any_work_and_told_of_successes():
    throttle = Counting(2)
    front = a_front(throttle=throttle)
    sign_in(front, "alice", "wrong")
    sign_in(front, "alice")
    asked = len(front.store.calls)
    answer = sign_in(front, "alice")
    assert (answer.seen, answer.header("Retry-After")) == ((429, "rate_limited"), "3")
    assert (front.members.hashed, len(front.store.calls)) == (2, asked)
    assert throttle.successes == throttle.attempts[1:2]
    assert throttle.attempts[0].address == "192.0.2.7"
    assert throttle.attempts[0].action == "login"


@pytest.mark.ids("AU-08")
def test_a_known_browser_counts_for_itself():
    throttle = Counting(9)
    front = a_front(throttle=throttle)
    jar = front.device().jar
    sign_in(front, cookies=jar)
    assert throttle.attempts[0].browser == ""
    assert len(throttle.attempts[-1].browser) == 64


@pytest.mark.ids("ST-05")
def test_users_that_cannot_tell_are_503_and_not_a_wrong_password():
    members = Members()
    members.trouble = RuntimeError("connection to users-db lost, password=hunter2")
    answer = sign_in(a_front(members=members))
    assert (answer.seen, answer.cookies) == ((503, "store_unavailable"), {})
    assert b"hunter2" not in answer.body


def test_an_async_users_object_is_refused_by_a_door_that_blocks():
    class Later(Members):
        async def authenticate(self, username, password, request):
            return None

    from keyturn.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="authenticate is async"):
        a_front(members=Later())


def test_hooks_see_the_reply_and_may_replace_it_and_one_that_fails_changes_nothing():
    seen = []

    def failing(request, reply, principal, session):
        raise RuntimeError("no")

    def adding(request, reply, principal, session):
        from dataclasses import replace

        seen.append((request, reply.status, principal.subject, session.id))
        return replace(reply, headers=(*reply.headers, ("X-Seen", "yes")))

    front = a_front(reply_hooks=(failing, adding))
    answer = sign_in(front)
    assert answer.header("X-Seen") == "yes"
    assert seen == [("native", 200, "u-alice", answer.json["session_id"])]


@pytest.mark.ids("ATP-05")
def test_a_subject_that_equals_a_client_is_a_configuration_fault_that_nobody_outside_is_told_of():
    from keyturn.users import Principal

    members = Members()
    members.known["alice"] = Principal(subject="shop-web")
    answer = sign_in(a_front(members=members))
    assert answer.seen == (500, "error")
    assert "client" not in answer.json["detail"]


@pytest.mark.ids("HT-04")
def test_claims_that_cannot_be_signed_are_told_to_the_log_and_not_to_the_caller(caplog):
    from keyturn.users import Principal

    members = Members()
    members.known["alice"] = Principal(subject="u-alice", claims={"iss": "evil"})
    front = a_front(members=members)
    answer = sign_in(front)
    assert answer.seen == (500, "error")
    assert "claim" not in answer.json["detail"]
    assert "claim_reserved" in caplog.text
    assert front.picture()[0] == {}


def test_a_client_is_remembered_with_its_session():
    front = a_front()
    device = front.device(client_id="shop-web")
    assert front.row(device).client_id == "shop-web"
    assert (
        drive(
            front.service.check(front.request("GET", "/", headers=[bearer(device.access_token)], cookies=device.jar))
        ).client_id
        == "shop-web"
    )
