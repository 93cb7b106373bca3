"""What the caller's token says, where they are signed in, and ending those sessions but nobody else's."""

from datetime import timedelta

import pytest

from keyturn.users import Principal
from tests.support.front import PAGE, Members, a_front, bearer, snapshot

ONE = "/auth/sessions/{}"


@pytest.mark.ids("TOK-22")
def test_the_claims_are_shown_in_jwt_names_without_what_only_machines_need():
    front = a_front()
    device = front.device()
    now = int(front.clock().timestamp())
    assert device.call("GET", "/auth/session").json == {
        "iss": "https://id.example.org", "aud": "https://id.example.org", "sub": "u-alice", "client_id": "default",
        "sid": device.session_id, "gen": 0, "iat": now, "exp": now + 300, "auth_time": now, "scope": "read write",
        "amr": ["pwd"],
    }  # fmt: skip


@pytest.mark.ids("TOK-22")
def test_the_applications_claims_are_shown_and_cannot_hide_ours():
    members = Members()
    members.known["alice"] = Principal(subject="u-alice", claims={"plan": {"seats": [1, 2]}, "name": "Ana"})
    shown = a_front(members=members).device().call("GET", "/auth/session").json
    assert shown["plan"] == {"seats": [1, 2]}
    assert shown["sub"] == "u-alice"


@pytest.mark.ids("SE-04")
def test_the_list_shows_the_callers_live_sessions_oldest_first():
    front = a_front()
    first = front.device(device_name="laptop")
    front.advance(60)
    second = front.device(page=False)
    ended = front.device()
    ended.send("POST", "/auth/logout")
    front.device("bob")
    listed = second.call("GET", "/auth/sessions").json["sessions"]
    assert [(item["id"], item["current"]) for item in listed] == [(first.session_id, False), (second.session_id, True)]
    assert listed[0] == {
        "id": first.session_id, "created_at": "2030-03-14T12:00:00Z", "refreshed_at": "2030-03-14T12:00:00Z",
        "expires_at": "2030-06-12T12:00:00Z", "idle_expires_at": "2030-04-13T12:00:00Z", "user_agent": "",
        "ip": "192.0.2.7", "device_name": "laptop", "current": False,
    }  # fmt: skip


@pytest.mark.ids("M13", "SE-06")
def test_an_idle_session_is_neither_listed_nor_ended_nor_found():
    front = a_front()
    idle = front.device(remember=False)
    front.advance(timedelta(hours=25))
    device = front.device()
    assert [item["id"] for item in device.call("GET", "/auth/sessions").json["sessions"]] == [device.session_id]
    assert device.call("DELETE", ONE.format(idle.session_id)).seen == (404, "not_found")


@pytest.mark.ids("SE-04")
def test_another_session_of_mine_is_ended_and_its_tokens_are_dead():
    front = a_front()
    here, there = front.device(), front.device()
    answer = here.call("DELETE", ONE.format(there.session_id))
    assert (answer.status, answer.set_cookies) == (204, [])
    assert there.call("GET", "/auth/session").seen == (401, "session_ended")
    assert here.call("GET", "/auth/session").status == 200
    assert here.call("DELETE", ONE.format(there.session_id)).seen == (404, "not_found")


@pytest.mark.ids("SE-04")
def test_ending_my_own_session_signs_me_out():
    front = a_front()
    device = front.device()
    old = snapshot(device)
    answer = device.call("DELETE", ONE.format(device.session_id))
    assert answer.status == 204
    assert device.jar == {}
    assert old.refresh().seen == (401, "session_ended")


@pytest.mark.ids("SE-04")
def test_another_users_session_an_unknown_one_and_nonsense_are_the_same_answer():
    front = a_front()
    alice, bob = front.device(), front.device("bob")
    before = front.picture()
    ids = [
        bob.session_id,
        "A" * 22,
        "x",
        "' OR 1=1 --",
        "\x00",
        "é" * 22,
        "..",
        "A" * 5000,
        bob.session_id + " ",
        "%00",
        "*",
    ]
    answers = [alice.call("DELETE", ONE.format(id_)) for id_ in ids]
    assert len({(answer.status, answer.body, repr(answer.reply.raw_headers())) for answer in answers}) == 1
    assert answers[0].seen == (404, "not_found")
    assert front.picture() == before


@pytest.mark.ids("SE-04")
def test_ending_others_asks_for_a_recent_sign_in_and_says_so_before_it_looks():
    front = a_front()
    here, there, bob = front.device(), front.device(), front.device("bob")
    front.advance(timedelta(minutes=15))
    here.refresh()
    assert here.call("DELETE", ONE.format(there.session_id)).status == 204
    front.advance(1)
    for id_ in (there.session_id, bob.session_id, "x"):
        answer = here.call("DELETE", ONE.format(id_))
        assert answer.seen == (401, "reauthentication_required")
        assert answer.header("WWW-Authenticate") == (
            'Bearer realm="https://id.example.org", error="insufficient_user_authentication", max_age=900'
        )
    assert here.call("DELETE", "/auth/sessions").seen == (401, "reauthentication_required")
    assert here.call("DELETE", ONE.format(here.session_id)).status == 204


@pytest.mark.ids("SE-04")
def test_all_but_the_current_one_are_ended():
    front = a_front()
    here, there, bob = front.device(), front.device(page=False), front.device("bob")
    answer = here.call("DELETE", "/auth/sessions")
    assert (answer.status, answer.json, answer.set_cookies) == (200, {"ended": 1}, [])
    assert there.call("GET", "/auth/session").status == 401
    assert here.call("GET", "/auth/session").status == 200
    assert bob.call("GET", "/auth/session").status == 200


@pytest.mark.ids("SE-04", "HT-01")
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/session"), ("GET", "/sessions"), ("DELETE", "/sessions"), ("DELETE", "/sessions/" + "A" * 22),
     ("POST", "/logout-all"), ("POST", "/step-up")],
)  # fmt: skip
def test_these_routes_need_a_good_access_token(method, path):
    front = a_front()
    device = front.device()
    stolen = device.access_token
    asked = [
        (device.send(method, "/auth" + path), "token_missing"),
        (front.send(method, "/auth" + path, headers=[*PAGE, bearer("x.y.z")]), "token_invalid"),
        (front.send(method, "/auth" + path, headers=[*PAGE, bearer(stolen)]), "binding_mismatch"),
    ]
    front.advance(timedelta(minutes=5, seconds=30))
    asked.append((device.call(method, "/auth" + path), "token_expired"))
    for answer, code in asked:
        assert answer.seen == (401, code)
        assert answer.set_cookies == []
        assert ('error="invalid_token"' in answer.header("WWW-Authenticate")) is (code != "token_missing")


@pytest.mark.ids("SE-02")
def test_an_access_token_of_an_earlier_generation_is_still_good():
    front = a_front()
    device = front.device()
    old = snapshot(device)
    front.advance(60)
    device.refresh()
    assert old.call("GET", "/auth/session").status == 200


@pytest.mark.ids("M26")
def test_after_a_change_of_roles_access_tokens_are_stale_and_the_refresh_is_silent():
    front = a_front()
    device = front.device()
    front.service._blocking_sessions().require("u-alice")
    assert device.call("GET", "/auth/session").seen == (401, "token_stale")
    assert device.refresh().status == 200
    assert device.call("GET", "/auth/session").status == 200
