"""introspect: what is told of a token, and that looking at it changes nothing."""

import hashlib
import json
from datetime import timedelta

import pytest

from keyturn.session import EndReason
from keyturn.settings import Settings
from keyturn.users import Principal, RegisteredClient
from tests.support.front import (
    APP,
    BIND,
    CLIENTS,
    ISSUER,
    PAGE,
    SECRET,
    BrokenStore,
    a_front,
    basic,
    settings_with,
    snapshot,
)

INACTIVE = b'{"active":false}'
OWN = [basic("shop-api", SECRET.replace("+", "%2B").replace(" ", "+"))]
OTHERS_SECRET = "x" * 43


def introspect(front, value, *, headers=OWN, **more):
    return front.send("POST", "/auth/introspect", form={"token": value, **more}, headers=headers)


def a_program(front, client_id="shop-api", **more):
    return front.device(page=False, client_id=client_id, **more)


def is_inactive(answer):
    assert (answer.status, answer.body) == (200, INACTIVE)
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("Cache-Control") == "no-store"
    assert answer.set_cookies == []
    return True


# --- who may ask ---------------------------------------------------------------------------------------------------


@pytest.mark.ids("OA-04", "OA-02", "HT-01", "HT-03")
@pytest.mark.parametrize(("headers", "form"), [
    ([], {}), ([], {"client_id": "shop-web"}), ([], {"client_id": "default"}), ([], {"client_id": "nobody"}),
    ([], {"client_id": "shop-api"}), ([], {"client_id": "shop-api", "client_secret": "wrong"}),
    ([basic("shop-api", "wrong")], {}), ([basic("shop-web", "")], {}), ([basic("default", "")], {}), ([basic("", "")], {}),
    ([(b"authorization", b"Bearer x")], {}), ([(b"authorization", b"Basic !")], {}),
])  # fmt: skip
def test_nobody_asks_but_a_client_with_its_secret(headers, form):
    front = a_front()
    device = a_program(front)
    front.store.calls.clear()
    answer = introspect(front, device.access_token, headers=headers, **form)
    assert (answer.status, answer.error) == (401, "invalid_client")
    assert answer.header("WWW-Authenticate") == 'Basic realm="clients"'
    assert set(answer.json) == {"error", "error_description"}
    assert front.store.calls == []


@pytest.mark.ids("OA-04", "OA-02")
def test_a_callers_own_token_is_no_proof_of_the_client():
    front = a_front()
    device = a_program(front)
    answer = introspect(
        front, device.access_token, headers=[(b"authorization", b"Bearer " + device.access_token.encode())]
    )
    assert answer.status == 401


@pytest.mark.ids("OA-04")
def test_the_secret_may_stand_in_the_form():
    front = a_front()
    device = a_program(front)
    answer = introspect(front, device.access_token, headers=[], client_id="shop-api", client_secret=SECRET)
    assert answer.json["active"] is True


@pytest.mark.ids("OA-04", "HT-03", "HT-07")
@pytest.mark.parametrize("form", [[], [("token", "")], [("token", "x"), ("token", "x")]])
def test_a_token_is_asked_for_once(form):
    answer = a_front().send("POST", "/auth/introspect", form=form, headers=OWN)
    assert (answer.status, answer.error) == (400, "invalid_request")


@pytest.mark.ids("OA-04")
def test_it_is_asked_by_post_alone():
    front = a_front()
    device = a_program(front)
    answer = front.send("GET", "/auth/introspect", form={"token": device.access_token}, headers=OWN)
    assert (answer.status, answer.header("Allow")) == (405, "OPTIONS, POST")


@pytest.mark.ids("OA-04")
def test_pages_of_other_origins_are_not_let_in():
    """A page has no secret to prove, and one that had would have leaked it."""
    front = a_front()
    origin = (b"origin", APP.encode())
    preflight = front.send("OPTIONS", "/auth/introspect", headers=[origin, (b"access-control-request-method", b"POST")])
    answer = introspect(front, "x", headers=[*OWN, origin])
    for seen in (preflight, answer):
        assert not [name for name, _ in seen.reply.headers if name.lower().startswith("access-control")]


# --- what is told --------------------------------------------------------------------------------------------------


@pytest.mark.ids("OA-04", "HT-05")
@pytest.mark.parametrize("owner", ["shop-api", "shop-web", "default"])
def test_a_good_access_token_of_any_client_is_told_as_rfc_7662_says(owner):
    front = a_front()
    device = a_program(front, owner, scope="read")
    answer = introspect(front, device.access_token)
    now = int(front.clock().timestamp())
    assert answer.header("Cache-Control") == "no-store"
    told = answer.json
    assert len(told.pop("jti")) >= 16
    assert told == {
        "active": True, "token_type": "Bearer", "scope": "read", "client_id": owner, "sub": "u-alice", "iss": ISSUER,
        "aud": ISSUER, "iat": now, "exp": now + 300, "auth_time": now, "sid": device.session_id, "gen": 0, "amr": ["pwd"],
    }  # fmt: skip


@pytest.mark.ids("OA-04")
def test_what_the_application_puts_into_tokens_is_told_and_decides_nothing():
    front = a_front()
    claims = {"plan": {"name": "gold"}, "active": False, "token_type": "N_A"}
    front.members.known["alice"] = Principal(subject="u-alice", claims=claims)
    told = introspect(front, a_program(front).access_token).json
    assert (told["plan"], told["active"], told["token_type"]) == ({"name": "gold"}, True, "Bearer")


@pytest.mark.ids("OA-04")
def test_a_good_refresh_token_is_told_to_its_own_client_and_is_no_access_token():
    front = a_front()
    device = a_program(front)
    row = front.row(device)
    assert introspect(front, device.refresh_token).json == {
        "active": True, "token_type": "N_A", "client_id": "shop-api", "sub": "u-alice", "iss": ISSUER,
        "sid": device.session_id, "exp": int(row.idle_expires_at.timestamp()),
        "auth_time": int(row.authenticated_at.timestamp()),
    }  # fmt: skip


@pytest.mark.ids("OA-04")
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "x"])
@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_a_wrong_hint_is_tolerated(which, hint):
    front = a_front()
    value = getattr(a_program(front), which)
    assert introspect(front, value, token_type_hint=hint).body == introspect(front, value).body != INACTIVE


# --- what is inactive ----------------------------------------------------------------------------------------------


def _unknown(front):
    return "x"


def _forged(front):
    head, _, tail = a_program(front).access_token.rpartition(".")
    return f"{head}.{tail[:-4]}AAAA"


def _forged_refresh(front):
    return a_program(front).refresh_token[:-4] + "AAAA"


def _expired(front):
    token = a_program(front).access_token
    front.advance(331)
    return token


def _ended(front):
    device = a_program(front)
    front.service._blocking_sessions().end(device.session_id)
    return device.access_token


def _ended_refresh(front):
    device = a_program(front)
    front.service._blocking_sessions().end(device.session_id)
    return device.refresh_token


def _over_refresh(front):
    token = a_program(front).refresh_token
    front.advance(timedelta(days=31))
    return token


def _stale(front):
    device = a_program(front)
    front.service._blocking_sessions().require("u-alice")
    return device.access_token


def _other_audience(front):
    return a_program(a_front(settings_with(audience="https://other.example"), store=front.store)).access_token


def _other_issuer(front):
    return a_program(a_front(settings_with(issuer="https://other.example"), store=front.store)).access_token


def _other_realm(front):
    return a_program(a_front(settings_with(realm="staff"), store=front.store)).access_token


def _other_realms_refresh(front):
    return a_program(a_front(settings_with(realm="staff"), store=front.store)).refresh_token


def _other_clients_refresh(front):
    return a_program(front, "shop-web").refresh_token


def _nobodys_refresh(front):
    return a_program(front, "default").refresh_token


def _cookie_refresh(front):
    return front.device().current


def _bound(front):
    return front.device().access_token


def _removed_row(front):
    device = a_program(front)
    front.store.behind._rows.clear()
    return device.access_token


def _removed_row_refresh(front):
    device = a_program(front)
    front.store.behind._rows.clear()
    return device.refresh_token


@pytest.mark.ids("OA-04", "RT-10")
@pytest.mark.parametrize("of", [
    _unknown, _forged, _forged_refresh, _expired, _ended, _ended_refresh, _over_refresh, _stale, _other_audience,
    _other_issuer, _other_realm, _other_realms_refresh, _other_clients_refresh, _nobodys_refresh, _cookie_refresh, _bound,
    _removed_row, _removed_row_refresh, lambda front: "é", lambda front: "a.b.c", lambda front: "x" * 9000,
])  # fmt: skip
def test_whatever_is_not_good_is_inactive_octet_for_octet(of):
    front = a_front()
    assert is_inactive(introspect(front, of(front)))


@pytest.mark.ids("OA-04", "RT-07")
@pytest.mark.parametrize("of", [_unknown, _forged, _forged_refresh, _expired, _other_audience, _other_realm, _bound])
def test_what_is_not_genuine_or_not_for_us_asks_no_store(of):
    front = a_front()
    value = of(front)
    front.store.calls.clear()
    assert is_inactive(introspect(front, value))
    assert front.store.calls == []


@pytest.mark.ids("OA-04")
def test_a_bound_access_token_is_good_where_its_proof_is_forwarded():
    front = a_front()
    device = front.device()
    proof = (b"keyturn-binding", device.jar[BIND].encode())
    assert introspect(front, device.access_token, headers=[*OWN, proof]).json["active"] is True
    assert "bnd" not in introspect(front, device.access_token, headers=[*OWN, proof]).json
    other = (b"keyturn-binding", front.device("bob").jar[BIND].encode())
    assert is_inactive(introspect(front, device.access_token, headers=[*OWN, other]))
    in_a_cookie = front.send(
        "POST", "/auth/introspect", form={"token": device.access_token}, headers=[*OWN, *PAGE], cookies=device.jar
    )
    assert is_inactive(in_a_cookie)


# --- the table, seen from outside ----------------------------------------------------------------------------------


@pytest.mark.ids("OA-04", "RT-03")
def test_a_refresh_token_is_active_exactly_while_a_refresh_with_it_would_give_something():
    """Every state of the row that two devices, lost answers and time can make; /token itself is asked on a copy."""
    seen = set()
    for turns in range(4):
        for wait in (0, 5, 11, 60):
            for used in (False, True):
                for behind in range(turns + 1):
                    seen.add(_agrees(turns, wait, used, behind))
    assert seen == {True, False}


def _agrees(turns, wait, used, behind):
    front = a_front()
    device = a_program(front)
    spent = [device.refresh_token]
    for _ in range(turns):
        front.advance(60)
        form = {"grant_type": "refresh_token", "refresh_token": device.refresh_token}
        device.keep(front.send("POST", "/auth/token", form=form, headers=OWN))
        spent.append(device.refresh_token)
    if used:
        front.check(device)
    front.advance(wait)
    value = spent[-1 - behind]
    before = front.picture()
    told = introspect(front, value)
    assert front.picture() == before
    form = {"grant_type": "refresh_token", "refresh_token": value}
    given = front.send("POST", "/auth/token", form=form, headers=OWN).status == 200
    assert told.json["active"] is given, (turns, wait, used, behind)
    return given


@pytest.mark.ids("OA-04", "RT-04")
def test_looking_at_a_reused_token_raises_no_alarm():
    front = a_front()
    device = a_program(front)
    old = snapshot(device)
    for _ in range(2):
        front.advance(60)
        form = {"grant_type": "refresh_token", "refresh_token": device.refresh_token}
        device.keep(front.send("POST", "/auth/token", form=form, headers=OWN))
    before, told = front.picture(), list(front.facts)
    assert is_inactive(introspect(front, old.refresh_token))
    assert (front.picture(), front.facts) == (before, told)
    assert introspect(front, device.refresh_token).json["active"] is True


@pytest.mark.ids("OA-04", "ST-05")
def test_it_writes_nothing_and_asks_nobody_about_the_user():
    front = a_front()
    device = a_program(front)
    before, told = front.picture(), list(front.facts)
    front.store.calls.clear()
    front.members.loads = 0
    for value in (device.access_token, device.refresh_token):
        assert introspect(front, value).json["active"] is True
    assert front.store.calls == ["get", "get"]
    assert (front.picture(), front.facts, front.members.loads) == (before, told, 0)


# --- fresh ---------------------------------------------------------------------------------------------------------


@pytest.mark.ids("OA-04", "SE-02")
@pytest.mark.parametrize("reason", [EndReason.LOGOUT, EndReason.USER_DISABLED])
def test_an_end_in_another_process_is_seen_at_once(reason):
    store = BrokenStore()
    here, there = a_front(store=store), a_front(store=store)
    device = a_program(here)
    here.check(device)
    there.service._blocking_sessions().end_user("u-alice", reason=reason)
    assert here.check(device) is not None, "the guard has half the bound to notice"
    for value in (device.access_token, device.refresh_token):
        assert is_inactive(introspect(here, value))


@pytest.mark.ids("OA-04")
def test_a_change_of_roles_in_another_process_is_seen_at_once():
    store = BrokenStore()
    here, there = a_front(store=store), a_front(store=store)
    device = a_program(here)
    here.check(device)
    there.service._blocking_sessions().require("u-alice")
    assert is_inactive(introspect(here, device.access_token))
    assert introspect(here, device.refresh_token).json["active"] is True


@pytest.mark.ids("OA-04", "ST-05", "HT-03")
def test_store_trouble_is_never_told_as_inactive():
    front = a_front()
    device = a_program(front)
    front.store.broken = True
    for value in (device.access_token, device.refresh_token):
        answer = introspect(front, value)
        assert (answer.status, answer.error) == (503, "temporarily_unavailable")
        assert set(json.loads(answer.body)) == {"error", "error_description"}


@pytest.mark.ids("OA-04", "RT-04")
def test_an_access_token_that_a_service_asked_about_counts_as_delivered():
    """Its client has it, so its answer arrived: whoever comes with the predecessor later is not that client."""
    front = a_front()
    device = a_program(front)
    old = snapshot(device)
    front.advance(60)
    form = {"grant_type": "refresh_token", "refresh_token": device.refresh_token}
    device.keep(front.send("POST", "/auth/token", form=form, headers=OWN))
    front.advance(60)
    assert introspect(front, old.refresh_token).json["active"] is True
    assert introspect(front, device.access_token).json["active"] is True
    assert is_inactive(introspect(front, old.refresh_token))


@pytest.mark.ids("OA-04")
def test_another_client_with_a_secret_learns_nothing_of_a_refresh_token():
    other = RegisteredClient(id="stock-api", secret_digest=hashlib.sha256(OTHERS_SECRET.encode()).hexdigest())
    front = a_front(clients=(*CLIENTS, other))
    device = a_program(front)
    asks = [basic("stock-api", OTHERS_SECRET)]
    assert is_inactive(introspect(front, device.refresh_token, headers=asks))
    assert introspect(front, device.access_token, headers=asks).json["client_id"] == "shop-api"


@pytest.mark.ids("OA-04", "OA-05")
def test_the_metadata_names_it_where_somebody_could_ask():
    path = "/.well-known/oauth-authorization-server"
    told = a_front().send("GET", path).json
    assert told["introspection_endpoint"] == f"{ISSUER}/auth/introspect"
    assert told["introspection_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]
    for clients in ((), (RegisteredClient(id="shop-web"),)):
        assert not [name for name in a_front(clients=clients).send("GET", path).json if "introspection" in name]


@pytest.mark.ids("OA-04")
def test_without_clients_that_have_a_secret_everybody_is_refused():
    front = a_front(Settings(issuer=ISSUER), clients=())
    device = front.device(page=False)
    assert introspect(front, device.access_token).status == 401
