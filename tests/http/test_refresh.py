"""POST /refresh: what turns, what is given again, and what is refused without harm."""

import json
from datetime import timedelta

import pytest

from keyturn.events import LoginFailed, RefreshRefused, ReuseDetected
from keyturn.session import EndReason
from keyturn.settings import CookieSettings
from tests.support.front import (
    ACCESS,
    BIND,
    PAGE,
    PASSWORD,
    PROGRAM,
    REFRESH,
    Device,
    a_front,
    settings_with,
    snapshot,
)  # fmt: skip

BOTH = pytest.mark.parametrize("page", [True, False], ids=["cookie", "body"])


def is_dead(front, device):
    """Whether neither the refresh token nor the access token of a device is good any more."""
    refused = snapshot(device).refresh().status == 401
    return refused and snapshot(device).call("GET", "/auth/session").status == 401


@pytest.mark.ids("RT-03", "RT-13")
@BOTH
def test_a_refresh_gives_the_next_tokens(page):
    front = a_front()
    device = front.device(page=page)
    old = snapshot(device)
    front.advance(60)
    answer = device.refresh()
    assert answer.status == 200
    assert device.current != old.current
    assert device.access_token != old.access_token
    assert ("refresh_token" in answer.json) is not page
    assert front.row(device).generation == 1
    if page:
        assert answer.cookies[BIND] == old.jar[BIND]
        assert "kt1." not in answer.body.decode()


@pytest.mark.ids("RT-03", "M03")
def test_a_cookie_session_turns_at_most_once_a_leeway_but_for_its_first_turn():
    front = a_front()
    device = front.device()
    generations = []
    for _ in range(4):
        device.refresh()
        generations.append(front.row(device).generation)
    front.advance(10)
    device.refresh()
    assert [*generations, front.row(device).generation] == [1, 1, 1, 1, 2]


@pytest.mark.ids("RT-04", "M06", "RT-18", "RT-20")
@BOTH
def test_a_spent_token_ends_the_session_and_its_access_tokens_and_is_told(page):
    front = a_front()
    device = front.device(page=page)
    stolen = snapshot(device)
    for _ in range(2):
        front.advance(60)
        assert device.refresh().status == 200
        assert device.call("GET", "/auth/session").status == 200
    thief = snapshot(stolen)
    if page:
        thief.jar[BIND] = device.jar[BIND]
    answer = thief.refresh()
    assert answer.seen == (401, "session_ended")
    assert is_dead(front, device)
    assert front.row(device).end_reason is EndReason.REUSE
    (alarm,) = [fact for fact in front.facts if isinstance(fact, ReuseDetected)]
    assert alarm.behind == 2


@pytest.mark.ids("RT-06", "M07", "M15")
@BOTH
def test_a_retry_within_the_leeway_gets_the_same_successor(page):
    front = a_front()
    device = front.device(page=page)
    front.advance(60)
    lost = snapshot(device)
    device.refresh()
    front.advance(9)
    answer = lost.refresh()
    assert answer.status == 200
    assert lost.current == device.current
    front.advance(60)
    assert lost.refresh().status == 200


@pytest.mark.ids("RT-07", "M21")
@BOTH
def test_a_hundred_forged_values_with_a_real_session_id_cost_no_query_and_harm_nobody(page):
    front = a_front()
    device = front.device(page=page)
    asked = len(front.store.calls)
    genuine = device.current
    for place in range(4, 75):
        wrong = genuine[:place] + ("A" if genuine[place] != "A" else "B") + genuine[place + 1 :]
        forger = Device(front, {REFRESH: wrong, BIND: device.jar[BIND]} if page else {}, refresh_token=wrong)
        answer = forger.refresh()
        assert answer.seen == (401, "token_invalid")
        assert answer.set_cookies == []
    assert len(front.store.calls) == asked
    assert device.refresh().status == 200


@pytest.mark.ids("RT-07", "TOK-20")
def test_every_value_that_is_not_genuine_gets_the_same_answer():
    front = a_front()
    values = ["x", "kt1.", "kt1." + "A" * 71, "kt2." + "A" * 71, "eyJ.a.b", "é", " ", "kt1." + "A" * 1000, "\u2028"]
    answers = [front.send("POST", "/auth/refresh", json={"refresh_token": value}) for value in values]
    assert len({(answer.status, answer.body, repr(answer.reply.raw_headers())) for answer in answers}) == 1
    assert answers[0].seen == (401, "token_invalid")
    assert front.store.calls == []


@pytest.mark.ids("HT-01", "CK-10")
def test_nothing_presented_is_token_missing_without_an_error_code():
    answer = a_front().send("POST", "/auth/refresh", headers=PAGE)
    assert answer.seen == (401, "token_missing")
    assert answer.header("WWW-Authenticate") == 'Bearer realm="https://id.example.org"'
    assert answer.set_cookies == []


@pytest.mark.ids("CK-10", "CK-06")
@pytest.mark.parametrize("how", ["ended", "expired", "binding"])
def test_a_dead_cookie_is_cleared_with_its_attributes_repeated(how):
    front = a_front()
    device = front.device()
    if how == "ended":
        front.service._blocking_sessions().end_user("u-alice")
    elif how == "expired":
        front.advance(timedelta(days=31))
    else:
        del device.jar[BIND]
    answer = device.refresh()
    assert answer.seen == (401, "binding_mismatch" if how == "binding" else "session_ended")
    assert answer.set_cookies == [
        f"{name}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict" for name in (REFRESH, BIND)
    ]


@pytest.mark.ids("CK-10")
def test_a_dead_token_in_the_body_clears_no_cookies():
    front = a_front()
    device = front.device(page=False)
    front.service._blocking_sessions().end_user("u-alice")
    answer = device.refresh()
    assert (answer.seen, answer.set_cookies) == ((401, "session_ended"), [])


def test_a_token_below_the_floor_is_stale_and_the_cookies_stay():
    front = a_front()
    device = front.device()
    old = snapshot(device)
    assert device.call("POST", "/auth/step-up", json={"password": PASSWORD}).status == 200
    front.advance(60)
    answer = old.refresh()
    assert (answer.seen, answer.set_cookies) == ((401, "token_stale"), [])
    assert device.refresh().status == 200
    assert not [fact for fact in front.facts if isinstance(fact, ReuseDetected)]


@pytest.mark.ids("RT-06")
@pytest.mark.parametrize("jar", [[REFRESH], [REFRESH, "other"], [REFRESH, "doubled"]])
def test_a_cookie_token_without_its_binding_is_refused_loudly_and_the_session_lives(jar):
    front = a_front()
    device = front.device()
    front.advance(60)
    cookies = f"{REFRESH}={device.jar[REFRESH]}"
    if "other" in jar:
        cookies += f"; {BIND}={'A' * 43}"
    if "doubled" in jar:
        cookies += f"; {BIND}={device.jar[BIND]}; {BIND}={device.jar[BIND]}"
    answer = front.send("POST", "/auth/refresh", headers=PAGE, cookies=cookies.encode())
    assert answer.seen == (401, "binding_mismatch")
    (fact,) = [fact for fact in front.facts if isinstance(fact, RefreshRefused)]
    assert fact.high
    assert device.refresh().status == 200


def test_a_token_cannot_change_its_transport():
    front = a_front()
    page, program = front.device(), front.device(page=False)
    front.advance(60)
    assert front.send("POST", "/auth/refresh", json={"refresh_token": page.jar[REFRESH]}).seen == (
        401,
        "binding_mismatch",
    )
    answer = front.send("POST", "/auth/refresh", headers=PAGE, cookies={REFRESH: program.refresh_token})
    assert answer.seen == (401, "binding_mismatch")
    assert page.refresh().status == 200
    assert program.refresh().status == 200


@pytest.mark.ids("CK-08")
@pytest.mark.parametrize("page_says", [PAGE, PROGRAM])
def test_a_doubled_refresh_cookie_counts_as_absent_and_is_cleared(page_says):
    front = a_front()
    device = front.device()
    token = device.jar[REFRESH]
    cookies = f"{REFRESH}={token}; {BIND}={device.jar[BIND]}; {REFRESH}=planted".encode()
    answer = front.send("POST", "/auth/refresh", headers=page_says, cookies=cookies)
    assert answer.seen == (401, "token_missing")
    assert answer.set_cookies == [
        f"{REFRESH}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict",
        f"{REFRESH}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict; Partitioned",
    ]
    assert device.refresh().status == 200


@pytest.mark.ids("CK-08")
def test_with_a_doubled_cookie_login_and_logout_proceed():
    front = a_front()
    doubled = f"{REFRESH}=a; {REFRESH}=b; {BIND}=c; {BIND}=c".encode()
    body = {"username": "alice", "password": PASSWORD}
    answer = front.send("POST", "/auth/login", json=body, headers=PAGE, cookies=doubled)
    lines = answer.set_cookies
    assert answer.status == 200
    assert len(lines) == 6
    assert all("Max-Age=0" in line for line in lines[:4])  # cleared first, so that what is set stays
    assert all("Max-Age=2592000" in line for line in lines[4:])
    assert front.send("POST", "/auth/logout", headers=PAGE, cookies=doubled).status == 204


# --- scope ---------------------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-11")
@BOTH
def test_a_refresh_may_narrow_its_access_token_and_the_grant_stays(page):
    front = a_front()
    device = front.device(page=page)
    front.advance(60)
    assert device.refresh(scope="read").json["scope"] == "read"
    front.advance(60)
    assert device.refresh().json["scope"] == "read write"


@pytest.mark.ids("RT-11")
@BOTH
@pytest.mark.parametrize("scope", ["admin", "read admin", "read  write", 'a"b', "read\u00e9"])
def test_a_scope_that_is_not_granted_is_refused_and_nothing_turns(page, scope):
    front = a_front()
    device = front.device(page=page)
    front.advance(60)
    before = front.picture()
    assert device.refresh(scope=scope).seen == (400, "invalid_scope")
    assert front.picture() == before


@pytest.mark.ids("RT-11")
def test_a_scope_beyond_the_sessions_grant_is_refused_though_the_user_holds_it():
    front = a_front()
    device = front.device(scope="read")
    front.advance(60)
    assert device.refresh(scope="write").seen == (400, "invalid_scope")
    assert device.refresh().json["scope"] == "read"


# --- the user, the clock -------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-12", "SE-08")
@pytest.mark.parametrize("gone", [True, False])
@BOTH
def test_a_user_who_is_disabled_or_gone_is_signed_out_by_the_refresh(gone, page):
    from dataclasses import replace

    front = a_front()
    device = front.device(page=page)
    front.advance(60)
    alice = front.members.known.pop("alice")
    if not gone:
        front.members.known["alice"] = replace(alice, disabled=True)
    answer = device.refresh()
    assert answer.seen == (401, "session_ended")
    assert bool(answer.set_cookies) is page
    assert front.row(device).end_reason is EndReason.USER_DISABLED


@pytest.mark.ids("RT-08", "RT-09", "RT-17", "CK-04")
def test_max_age_is_the_time_left_and_shrinks_with_the_absolute_end():
    front = a_front(settings_with(idle_lifetime=timedelta(days=30), session_lifetime=timedelta(days=40)))
    device = front.device()
    ages = []
    for _ in range(3):
        front.advance(timedelta(days=12))
        answer = device.refresh()
        ages.append(answer.json["refresh_expires_in"] // 86400)
        assert all(f"Max-Age={answer.json['refresh_expires_in']};" in line for line in answer.set_cookies)
    assert ages == [28, 16, 4]
    front.advance(timedelta(days=4))
    assert device.refresh().seen == (401, "session_ended")


@pytest.mark.ids("ATP-04", "SE-07")
def test_a_refresh_never_renews_the_time_of_the_sign_in():
    front = a_front()
    device = front.device()
    first = device.call("GET", "/auth/session").json["auth_time"]
    for _ in range(3):
        front.advance(60)
        device.refresh()
        assert device.call("GET", "/auth/session").json["auth_time"] == first


@pytest.mark.ids("RT-10")
def test_a_session_of_a_client_with_a_secret_is_refreshed_at_token_only():
    front = a_front()
    device = front.device(page=False, client_id="shop-api")
    before = front.picture()
    assert device.refresh().seen == (400, "invalid_request")
    assert front.picture() == before


@pytest.mark.ids("M11")
@pytest.mark.parametrize("swapped", [False, True])
def test_two_answers_may_arrive_in_either_order(swapped):
    front = a_front()
    device = front.device()
    front.advance(60)
    tabs = [snapshot(device), snapshot(device)]
    answers = [tab.refresh() for tab in tabs]
    for answer in reversed(answers) if swapped else answers:
        device.keep(answer)
    front.advance(60)
    assert device.refresh().status == 200


@pytest.mark.ids("M16")
def test_with_access_in_cookie_the_refresh_sends_all_three_again_and_clears_all_three():
    front = a_front(settings_with(cookie=CookieSettings(access_in_cookie=True)))
    device = front.device()
    front.advance(60)
    assert sorted(device.refresh().cookies) == [ACCESS, BIND, REFRESH]
    front.service._blocking_sessions().end_user("u-alice")
    front.advance(60)
    answer = device.refresh()
    assert answer.cookies == {ACCESS: "", BIND: "", REFRESH: ""}


# --- step-up -------------------------------------------------------------------------------------------------------


@pytest.mark.ids("SE-07", "M14", "M26")
@BOTH
def test_step_up_renews_the_sign_in_and_older_tokens_die_silently(page):
    front = a_front()
    device = front.device(page=page)
    old = snapshot(device)
    front.advance(timedelta(minutes=4))
    body = {"password": PASSWORD, **({} if page else {"refresh_token": device.refresh_token})}
    answer = device.call("POST", "/auth/step-up", json=body)
    assert answer.status == 200
    assert device.call("GET", "/auth/session").json["auth_time"] == int(front.clock().timestamp())
    assert old.call("GET", "/auth/session").seen == (401, "token_stale")
    assert old.refresh().seen == (401, "token_stale")
    assert front.row(device).ended_at is None


@pytest.mark.ids("SE-07")
def test_a_step_up_that_is_refused_changes_nothing():
    front = a_front()
    device, other = front.device(), front.device()
    spent = snapshot(device)
    front.advance(60)
    device.refresh()
    front.advance(60)
    before = front.picture()[0]

    def step_up(who, body, **more):
        return snapshot(who).call("POST", "/auth/step-up", json=body, **more)

    assert step_up(device, {"password": "wrong"}).seen == (401, "invalid_credentials")
    assert step_up(device, {}).seen == (400, "invalid_request")
    assert step_up(device, {"password": PASSWORD}, cookies={BIND: device.jar[BIND]}).seen == (401, "token_missing")
    assert step_up(device, {"password": PASSWORD, "refresh_token": device.jar[REFRESH]}).seen == (
        400,
        "invalid_request",
    )
    mixed = {**device.jar, REFRESH: other.jar[REFRESH]}
    assert step_up(device, {"password": PASSWORD}, cookies=mixed).seen == (401, "token_stale")
    old = {**device.jar, REFRESH: spent.jar[REFRESH]}
    assert step_up(device, {"password": PASSWORD}, cookies=old).seen == (401, "token_stale")
    assert device.send("POST", "/auth/step-up", json={"password": PASSWORD}).seen == (401, "token_missing")
    assert front.picture()[0] == before


@pytest.mark.ids("AU-12")
def test_a_wrong_password_in_a_step_up_is_told():
    front = a_front()
    device = front.device()
    device.call("POST", "/auth/step-up", json={"password": "wrong"})
    assert isinstance(front.facts[-1], LoginFailed)
    assert front.facts[-1].reason == "invalid_credentials"


@pytest.mark.ids("SE-09")
@BOTH
def test_a_changed_browser_or_address_is_told_and_locks_nobody_out(page):
    front = a_front()
    device = front.device(page=page)
    front.advance(60)
    answer = device.send(
        "POST", "/auth/refresh", headers=[(b"user-agent", b"another")],
        json=None if page else {"refresh_token": device.refresh_token},
    )  # fmt: skip
    assert answer.status == 200
    fact = front.facts[-1]
    assert (fact.client.user_agent, fact.session.user_agent) == ("another", "")


@pytest.mark.ids("XS-06")
def test_step_up_with_a_cookie_is_held_to_the_forgery_rule():
    front = a_front()
    device = front.device()
    device.is_page = False
    answer = device.call(
        "POST", "/auth/step-up", json={"password": PASSWORD}, headers=[(b"sec-fetch-site", b"cross-site")]
    )
    assert (answer.seen, front.members.hashed) == ((403, "cross_site"), 1)


@pytest.mark.ids("ST-01")
def test_refusals_hold_no_token():
    front = a_front()
    device = front.device()
    front.service._blocking_sessions().end_user("u-alice")
    secrets = [device.jar[REFRESH], device.jar[BIND], device.access_token]
    answer = device.refresh()
    shown = json.dumps([answer.body.decode(), answer.reply.headers, answer.set_cookies])
    assert not any(secret in shown for secret in secrets)


@pytest.mark.ids("ST-05", "TOK-11")
@pytest.mark.parametrize("transport", ["cookie", "body"])
@pytest.mark.parametrize("ahead", [timedelta(minutes=1), timedelta(days=2)])
def test_a_clock_that_was_ahead_for_a_moment_signs_nobody_out(transport, ahead):
    front = a_front()
    device = front.device(transport=transport)
    front.advance(ahead)
    assert device.refresh().status == 200
    front.advance(-ahead)
    # the client does what the code tells it to: refresh, and repeat
    assert device.call("GET", "/auth/session").seen == (401, "token_stale")
    assert device.refresh().status == 200
    assert device.call("GET", "/auth/session").status == 200
