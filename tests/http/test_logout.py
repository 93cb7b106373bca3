"""Signing out: the session ends whichever genuine token of it came, and nothing of it works afterwards."""

from datetime import timedelta

import pytest

from keyturn.events import SessionEnded
from keyturn.settings import CookieSettings
from tests.support.front import (
    ACCESS,
    BIND,
    PAGE,
    PROGRAM,
    REFRESH,
    a_front,
    bearer,
    settings_with,
    snapshot,
)

BOTH = pytest.mark.parametrize("page", [True, False], ids=["cookie", "body"])


def sign_out(device, **more):
    body = None if device.jar.get(REFRESH) else {"refresh_token": device.refresh_token}
    return device.send("POST", "/auth/logout", json=body, **more)


@pytest.mark.ids("SE-02", "M44", "RT-20", "RT-12")
@BOTH
def test_after_logout_neither_token_works(page):
    front = a_front()
    device = front.device(page=page)
    before = snapshot(device)
    assert sign_out(device).status == 204
    assert before.call("GET", "/auth/session").seen == (401, "session_ended")
    assert before.refresh().seen == (401, "session_ended")
    assert [fact.reason.value for fact in front.facts if isinstance(fact, SessionEnded)] == ["logout"]


@pytest.mark.ids("M43", "CK-06")
@pytest.mark.parametrize(
    "cookie", [CookieSettings(), CookieSettings(access_in_cookie=True), CookieSettings(suffix="shop", same_site="Lax"),
               CookieSettings(same_site="None", partitioned=True)]
)  # fmt: skip
def test_clearing_repeats_every_attribute_that_was_set(cookie):
    front = a_front(settings_with(cookie=cookie))
    device = front.device()
    set_ = front.device().front.send("POST", "/auth/refresh", headers=PAGE, cookies=dict(device.jar)).set_cookies
    cleared = sign_out(device).set_cookies

    def attributes(line):
        name, *rest = line.split("; ")
        return name.partition("=")[0], [part for part in rest if not part.startswith("Max-Age")]

    assert [attributes(line) for line in cleared] == [attributes(line) for line in set_]
    assert all("Max-Age=0" in line for line in cleared)
    assert device.jar == {}


@pytest.mark.ids("SE-03")
@BOTH
def test_logout_works_with_any_generation_and_long_after_the_access_token_expired(page):
    front = a_front()
    device = front.device(page=page)
    first = snapshot(device)
    for _ in range(3):
        front.advance(timedelta(hours=1))
        device.refresh()
    assert sign_out(first, headers=[bearer(first.access_token)]).status == 204
    assert device.refresh().status == 401


@pytest.mark.ids("SE-03", "M36")
@BOTH
def test_logout_is_idempotent_and_tells_once(page):
    front = a_front()
    device = front.device(page=page)
    again = snapshot(device)
    answers = [sign_out(snapshot(again)) for _ in range(3)]
    assert {answer.status for answer in answers} == {204}
    assert len([fact for fact in front.facts if isinstance(fact, SessionEnded)]) == 1


@pytest.mark.ids("SE-03")
def test_a_bound_access_token_logs_out_with_its_cookie_only():
    front = a_front()
    device = front.device()
    assert front.send("POST", "/auth/logout", headers=[bearer(device.access_token)]).status == 204
    assert front.row(device).ended_at is None
    with_binding = {BIND: device.jar[BIND]}
    assert front.send("POST", "/auth/logout", headers=[bearer(device.access_token)], cookies=with_binding).status == 204
    assert front.row(device).ended_at is not None


@pytest.mark.ids("SE-03")
def test_an_expired_access_token_alone_ends_nothing():
    front = a_front()
    device = front.device(page=False)
    front.advance(timedelta(minutes=10))
    assert front.send("POST", "/auth/logout", headers=[bearer(device.access_token)]).status == 204
    assert front.row(device).ended_at is None


@pytest.mark.ids("M36")
def test_a_thousand_bogus_logouts_write_nothing():
    front = a_front()
    for number in range(1000):
        value = f"kt1.{number:071d}"
        answer = front.send(
            "POST", "/auth/logout", json={"refresh_token": value}, headers=PROGRAM, cookies={BIND: str(number)}
        )
        assert answer.status == 204
    assert front.picture() == ({}, [])
    assert front.store.calls == []


@pytest.mark.ids("SE-03", "M41", "M47")
@pytest.mark.parametrize(
    "headers", [[], [bearer("garbage")], [bearer("a"), bearer("b")], [(b"authorization", b"Basic x")]]
)
@pytest.mark.parametrize("cookies", [{}, {REFRESH: "garbage"}, {REFRESH: ""}, {BIND: "x"}])
def test_nothing_to_end_is_204_too(headers, cookies):
    answer = a_front().send("POST", "/auth/logout", headers=[*PAGE, *headers], cookies=cookies)
    assert (answer.status, answer.cookies) == (204, {REFRESH: "", BIND: ""})
    assert answer.header("Cache-Control") == "no-store"


@pytest.mark.ids("RT-12")
def test_a_cookie_and_a_body_token_both_end():
    front = a_front()
    page, program = front.device(), front.device(page=False)
    page.send("POST", "/auth/logout", json={"refresh_token": program.refresh_token})
    assert front.row(page).ended_at is not None
    assert front.row(program).ended_at is not None


@pytest.mark.ids("XS-07")
def test_a_program_whose_token_is_in_the_body_signs_out_with_no_word_about_its_page():
    front = a_front()
    device = front.device(page=False)
    answer = front.send("POST", "/auth/logout", json={"refresh_token": device.refresh_token})
    assert (answer.status, answer.set_cookies) == (204, [])
    assert front.row(device).ended_at is not None


@pytest.mark.ids("CK-08", "XS-07")
def test_doubled_cookies_are_cleared_by_a_logout_from_a_page_of_ours():
    front = a_front()
    cookies = f"{REFRESH}=a; {REFRESH}=b".encode()
    answer = front.send("POST", "/auth/logout", headers=PAGE, cookies=cookies)
    assert answer.status == 204
    assert len(answer.set_cookies) == 4
    assert (
        front.send("POST", "/auth/logout", cookies=cookies, headers=[(b"sec-fetch-site", b"cross-site")]).status == 403
    )


@pytest.mark.ids("RT-12", "M12")
@BOTH
def test_logout_everywhere_ends_all_sessions_of_the_caller_and_no_other(page):
    front = a_front()
    mine = [front.device(page=page) for _ in range(3)]
    bob = front.device("bob")
    old = snapshot(mine[0])
    answer = mine[0].call("POST", "/auth/logout-all")
    assert (answer.status, answer.json) == (200, {"ended": 3})
    assert answer.cookies == {REFRESH: "", BIND: ""}
    for device in (old, mine[1], mine[2]):
        assert device.call("GET", "/auth/session").status == 401
    assert bob.refresh().status == 200


@pytest.mark.ids("SE-03")
def test_logout_everywhere_needs_an_access_token():
    front = a_front()
    device = front.device()
    answer = device.send("POST", "/auth/logout-all")
    assert (answer.seen, answer.set_cookies) == ((401, "token_missing"), [])
    assert front.row(device).ended_at is None


@pytest.mark.ids("SE-02")
def test_the_access_cookie_is_cleared_too():
    front = a_front(settings_with(cookie=CookieSettings(access_in_cookie=True)))
    device = front.device()
    before = snapshot(device)
    assert sign_out(device).cookies == {REFRESH: "", BIND: "", ACCESS: ""}
    assert before.send("GET", "/auth/session").seen == (401, "session_ended")


@pytest.mark.ids("SE-02", "ST-05", "P2")
def test_another_process_feels_the_end_within_the_bound():
    front = a_front()
    other = a_front(store=front.store, clock=front.clock)
    device = front.device()
    elsewhere = snapshot(device)
    elsewhere.front = other
    assert elsewhere.call("GET", "/auth/session").status == 200
    sign_out(device)
    front.advance(5)
    assert elsewhere.call("GET", "/auth/session").seen == (401, "session_ended")
