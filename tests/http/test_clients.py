"""Registered clients: how they prove themselves, what is theirs, and what happens while they come and go."""

import hashlib
import logging
from base64 import b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given, strategies as st

from keyturn import ConfigurationError, StoreError
from keyturn._colour import drive
from keyturn.events import RefreshRefused
from keyturn.http.endpoints import _client_proof
from keyturn.session import EndReason
from keyturn.users import Principal, RegisteredClient
from tests.support.front import CLIENTS, ISSUER, PASSWORD, SECRET, a_front, basic, settings_with

GRANT = {"grant_type": "refresh_token"}
PATHS = ["/auth/token", "/auth/revoke", "/auth/introspect"]
OWN = basic("shop-api", quote_plus(SECRET))


def with_secret(secret, client_id="shop-api"):
    return RegisteredClient(id=client_id, secret_digest=hashlib.sha256(secret.encode()).hexdigest())


def ask(front, path, *headers, **form):
    return front.send("POST", path, form={**GRANT, "refresh_token": "x", "token": "x", **form}, headers=headers)


def refresh(front, device, *headers, **form):
    form = {**GRANT, "refresh_token": device.refresh_token, **form}
    return front.send("POST", "/auth/token", form=form, headers=headers)


def a_program(front, client_id="shop-api", **more):
    return front.device(page=False, client_id=client_id, **more)


def is_refused(answer):
    assert (answer.status, answer.error) == (401, "invalid_client")
    assert answer.header("WWW-Authenticate") == 'Basic realm="clients"'
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Content-Type") == "application/json"
    return True


# --- the proof -----------------------------------------------------------------------------------------------------


@pytest.mark.ids("OA-02", "HT-01", "HT-03")
@pytest.mark.parametrize("path", PATHS)
def test_every_failed_proof_is_the_same_answer_octet_for_octet(path):
    front = a_front()
    digest = CLIENTS[1].secret_digest
    answers = [
        ask(front, path, basic("shop-api", "wrong")),
        ask(front, path, basic("nobody", "wrong")),
        ask(front, path, basic("shop-api", "")),
        ask(front, path, basic("", SECRET)),
        ask(front, path, basic("SHOP-API", quote_plus(SECRET))),
        ask(front, path, basic("shop-api ", quote_plus(SECRET))),
        ask(front, path, basic("shop-api", digest)),
        ask(front, path, basic("shop-web", "anything")),
        ask(front, path, basic("default", "anything")),
        ask(front, path, (b"authorization", b"Basic")),
        ask(front, path, (b"authorization", b"Basic !")),
        ask(front, path, (b"authorization", b"Basic " + b64encode(b"no colon"))),
        ask(front, path, (b"authorization", b"Basic " + b64encode(b"\xff:\xff"))),
        ask(front, path, client_id="shop-api"),
        ask(front, path, client_id="shop-api", client_secret="wrong"),
        ask(front, path, client_id="shop-api", client_secret=digest),
        ask(front, path, client_id="nobody"),
        ask(front, path, client_id="nobody", client_secret=SECRET),
        ask(front, path, client_id="shop-web", client_secret="anything"),
        ask(front, path, client_id="Shop-Web"),
    ]
    assert all(map(is_refused, answers))
    assert len({(answer.body, repr(answer.reply.raw_headers())) for answer in answers}) == 1
    assert front.store.calls == []


@pytest.mark.ids("OA-02")
def test_an_unknown_client_costs_the_work_of_a_wrong_secret(monkeypatch):
    front = a_front()
    compared = []
    real = _client_proof.hmac.compare_digest

    def counting(given, expected):
        compared.append((len(given), len(expected)))
        return real(given, expected)

    monkeypatch.setattr(_client_proof.hmac, "compare_digest", counting)
    for client_id in ("shop-api", "nobody", "shop-web"):
        compared.clear()
        ask(front, "/auth/token", basic(client_id, "wrong"))
        assert compared == [(64, 64)], client_id


@pytest.mark.ids("OA-02")
@pytest.mark.parametrize("secret", ["a:b", "::", "100%", "%41", "a+b c", "é ü", "=&?", "\u20ac", '"\\'])
def test_a_secret_of_any_characters_is_proved_by_both_ways(secret):
    front = a_front(clients=[with_secret(secret)])
    assert ask(front, "/auth/introspect", basic("shop-api", quote_plus(secret))).status == 200
    assert ask(front, "/auth/introspect", basic("shop-api", quote(secret, safe=""))).status == 200
    assert ask(front, "/auth/introspect", client_id="shop-api", client_secret=secret).status == 200


@pytest.mark.ids("OA-02")
def test_basic_is_decoded_once():
    """A secret that was sent as it is, where it should have been encoded, is another secret."""
    front = a_front(clients=[with_secret("a%2Bb")])
    assert is_refused(ask(front, "/auth/introspect", basic("shop-api", "a%2Bb")))
    assert ask(front, "/auth/introspect", basic("shop-api", "a%252Bb")).status == 200
    assert unquote("a%252Bb") == "a%2Bb"


@pytest.mark.ids("OA-02")
@given(secret=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40))
def test_no_secret_but_the_right_one_is_right(secret):
    front = a_front()
    answer = ask(front, "/auth/introspect", basic("shop-api", quote_plus(secret)))
    assert answer.status == (200 if secret == SECRET else 401)


@pytest.mark.ids("OA-02", "HT-07")
@pytest.mark.parametrize("path", PATHS)
def test_a_client_proves_itself_in_one_way(path):
    front = a_front()
    for answer in (
        ask(front, path, OWN, client_secret=SECRET),
        ask(front, path, OWN, client_id="shop-web"),
        ask(front, path, OWN, client_id="SHOP-API"),
        ask(front, path, client_secret=SECRET),
        ask(front, path, OWN, OWN),
    ):
        assert (answer.status, answer.error) == (400, "invalid_request")
    assert ask(front, "/auth/introspect", OWN, client_id="shop-api").status == 200


@pytest.mark.ids("OA-02", "HT-07")
@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_a_repeated_proof_is_refused_and_an_empty_one_is_absent(name):
    front = a_front()
    right = {"client_id": "shop-api", "client_secret": SECRET}
    form = [("token", "x"), *right.items()]
    assert front.send("POST", "/auth/introspect", form=[*form, (name, right[name])]).status == 400
    assert front.send("POST", "/auth/introspect", form=[("token", "x"), *(right | {name: ""}).items()]).status in {
        400,
        401,
    }


@pytest.mark.ids("OA-02")
def test_the_digest_may_be_written_in_either_case():
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    for written in (digest, digest.upper()):
        front = a_front(clients=[RegisteredClient(id="shop-api", secret_digest=written)])
        assert ask(front, "/auth/introspect", OWN).status == 200


@pytest.mark.ids("OA-02")
@pytest.mark.parametrize("digest", [hashlib.sha256(b"").hexdigest(), hashlib.sha256(b"").hexdigest().upper()])
def test_the_digest_of_an_empty_secret_is_refused_when_it_is_registered(digest):
    with pytest.raises(ConfigurationError) as caught:
        a_front(clients=[RegisteredClient(id="shop-api", secret_digest=digest)])
    assert "no secret" in str(caught.value)
    assert digest not in str(caught.value)


@pytest.mark.ids("OA-02")
@pytest.mark.parametrize("digest", [hashlib.sha256(b"").hexdigest(), "", "é" * 64, "x"])
def test_a_digest_that_came_later_and_is_none_lets_nobody_in(digest):
    """A mapping that lives is not judged again: what is wrong with it must fail, and in nobody's favour."""
    clients = {"shop-api": with_secret(SECRET)}
    front = a_front(clients=clients)
    clients["shop-api"] = RegisteredClient(id="shop-api", secret_digest=digest)
    for answer in (
        ask(front, "/auth/introspect", OWN),
        ask(front, "/auth/introspect", basic("shop-api", "")),
        ask(front, "/auth/introspect", client_id="shop-api"),
    ):
        assert is_refused(answer)


@pytest.mark.ids("OA-02", "ST-01")
def test_no_secret_is_ever_logged(caplog):
    caplog.set_level(logging.DEBUG)
    front = a_front()
    for path in PATHS:
        ask(front, path, OWN)
        ask(front, path, basic("shop-api", "wr0ng-secret"))
    assert SECRET not in caplog.text
    assert quote_plus(SECRET) not in caplog.text
    assert "wr0ng-secret" not in caplog.text
    assert CLIENTS[1].secret_digest not in repr(CLIENTS)


# --- whose session it is -------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-10")
def test_a_refresh_token_is_good_for_its_own_client_alone_whichever_way_it_is_named():
    front = a_front(clients=[*CLIENTS, with_secret("other", "stock-api")])
    owners = {"shop-api": [OWN], "stock-api": [basic("stock-api", "other")], "shop-web": [], "default": []}
    devices = {owner: a_program(front, owner) for owner in owners}
    front.advance(60)
    before = front.picture()
    for owner, device in devices.items():
        for asker, proof in owners.items():
            if asker != owner:
                answer = refresh(front, device, *proof, **({} if proof else {"client_id": asker}))
                assert (answer.status, answer.error) == (400, "invalid_grant")
    assert front.picture() == before
    for owner, device in devices.items():
        assert refresh(front, device, *owners[owner], client_id=owner).status == 200


@pytest.mark.ids("RT-10", "OA-02")
def test_a_client_with_a_secret_gets_no_cookie_session_which_nothing_could_refresh():
    front = a_front()
    form = {"username": "alice", "password": "x", "client_id": "shop-api"}
    answer = front.send("POST", "/auth/login", json=form, headers=[(b"sec-fetch-site", b"same-origin")])
    assert answer.seen == (400, "invalid_request")
    assert 'transport "body"' in answer.json["detail"]
    assert front.members.hashed == 0


@pytest.mark.ids("RT-10")
def test_a_sign_in_for_a_client_that_is_not_registered_costs_no_hash():
    front = a_front()
    form = {"username": "alice", "password": "x", "transport": "body", "client_id": "shop-appi"}
    assert front.send("POST", "/auth/login", json=form).seen == (400, "invalid_request")
    assert front.members.hashed == 0


@pytest.mark.ids("RT-10", "OA-02")
def test_a_client_that_becomes_confidential_must_prove_its_sessions_from_then_on():
    clients = {"shop-web": RegisteredClient(id="shop-web")}
    front = a_front(clients=clients)
    program, page = a_program(front, "shop-web"), front.device(client_id="shop-web")
    assert program.refresh().status == 200
    clients["shop-web"] = with_secret("new", "shop-web")
    front.advance(60)
    before = front.picture()
    assert program.refresh().seen == (400, "invalid_request")
    assert refresh(front, program).error == "invalid_request"
    assert is_refused(refresh(front, program, client_id="shop-web"))
    gone = page.refresh()
    assert gone.seen == (401, "session_ended"), "a page cannot prove a secret: only a new sign-in helps"
    assert set(gone.cookies.values()) == {""}
    assert front.picture() == before
    assert refresh(front, program, basic("shop-web", "new")).status == 200


# --- clients that are removed --------------------------------------------------------------------------------------


@pytest.fixture
def removed():
    """A front whose two clients were removed while sessions of theirs live."""
    clients = {client.id: client for client in CLIENTS}
    front = a_front(clients=clients)
    devices = {"api": a_program(front), "web": a_program(front, "shop-web"), "page": front.device(client_id="shop-web")}
    devices["own"] = front.device(page=False)
    front.advance(60)
    clients.clear()
    return front, devices, clients


@pytest.mark.ids("RT-10", "OA-02")
def test_a_removed_clients_sessions_refresh_nowhere(removed):
    front, devices, _ = removed
    assert is_refused(refresh(front, devices["api"], OWN))
    assert is_refused(refresh(front, devices["web"], client_id="shop-web"))
    for which in ("api", "web"):
        answer = refresh(front, devices[which])
        assert (answer.status, answer.error) == (400, "invalid_grant")
    for which in ("api", "web", "page"):
        assert devices[which].refresh().seen == (401, "session_ended")
    refusals = [fact for fact in front.facts if isinstance(fact, RefreshRefused)]
    assert {fact.reason for fact in refusals} == {"client_removed"}
    assert devices["own"].refresh().status == 200


@pytest.mark.ids("RT-10")
def test_a_removed_clients_sessions_are_not_stepped_up_and_nothing_turns(removed):
    front, devices, _ = removed
    before = front.picture()
    body = {"password": PASSWORD, "refresh_token": devices["web"].refresh_token}
    assert devices["web"].call("POST", "/auth/step-up", json=body).seen == (401, "session_ended")
    assert front.picture() == before


@pytest.mark.ids("RT-10")
def test_a_client_that_comes_back_finds_its_sessions_alive(removed):
    front, devices, clients = removed
    refresh(front, devices["web"])
    devices["web"].refresh()
    assert front.row(devices["web"]).ended_at is None
    clients.update({client.id: client for client in CLIENTS})
    assert refresh(front, devices["web"], client_id="shop-web").status == 200
    assert refresh(front, devices["api"], OWN).status == 200


@pytest.mark.ids("RT-10", "SE-02", "OA-03")
def test_a_removed_clients_sessions_can_be_ended_by_everybody_who_could_before(removed):
    front, devices, _ = removed
    assert (
        devices["web"].send("POST", "/auth/logout", json={"refresh_token": devices["web"].refresh_token}).status == 204
    )
    assert front.row(devices["web"]).ended_at is not None
    assert front.send("POST", "/auth/revoke", form={"token": devices["api"].refresh_token}).status == 200
    assert front.row(devices["api"]).ended_at is not None
    listed = devices["own"].call("GET", "/auth/sessions").json["sessions"]
    assert devices["page"].session_id in {session["id"] for session in listed}
    assert devices["own"].call("DELETE", f"/auth/sessions/{devices['page'].session_id}").status == 204


@pytest.mark.ids("OA-04", "RT-10")
def test_a_removed_clients_tokens_are_inactive_at_once_though_guards_let_them_run_out(removed):
    front, devices, clients = removed
    clients["stock-api"] = with_secret("other", "stock-api")
    answer = ask(front, "/auth/introspect", basic("stock-api", "other"), token=devices["web"].access_token)
    assert answer.body == b'{"active":false}'
    assert front.check(devices["web"]) is not None


@pytest.mark.ids("RT-10")
def test_while_nobody_knows_whether_a_client_was_removed_its_lost_answers_are_not_counted():
    """Eight recoveries in a row are an alarm; a table of clients that is away must not add up to one."""
    living = Living({client.id: client for client in CLIENTS})
    front = a_front(clients=living)
    device = a_program(front, "shop-web")
    front.advance(60)
    living.known.clear()
    living.away = True
    for _ in range(12):
        assert device.refresh().seen == (503, "store_unavailable")
        front.advance(60)
    living.away = False
    living.table["shop-web"] = CLIENTS[0]
    assert device.refresh().status == 200


# --- clients that come and go --------------------------------------------------------------------------------------


class Living(Mapping[str, RegisteredClient]):
    """Some are known; the others are in a table."""

    def __init__(self, known: Mapping[str, RegisteredClient] = {}, colour: str | None = None) -> None:
        self.known, self.table, self.asked, self.away = dict(known), {}, [], False
        if colour:
            self.colour = colour

    def __getitem__(self, client_id: str) -> RegisteredClient:
        return self.known[client_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)

    def look_up(self, client_id: str) -> RegisteredClient | None:
        self.asked.append(client_id)
        if self.away:
            raise OSError("the table is away, and its password is hunter2")
        return self.table.get(client_id)


class AwaitedLiving(Living):
    """The same, asked in a coroutine."""

    async def look_up(self, client_id: str) -> RegisteredClient | None:
        return super().look_up(client_id)


@pytest.mark.ids("OA-02", "RT-10")
@pytest.mark.parametrize("make", [Living, lambda: AwaitedLiving(colour="both"), lambda: AwaitedLiving(colour="sync")])
def test_a_client_that_is_registered_later_works_without_a_restart(make):
    living = make()
    front = a_front(clients=living)
    with pytest.raises(AssertionError, match="not registered"):
        a_program(front)
    assert is_refused(ask(front, "/auth/introspect", OWN))
    living.table["shop-api"] = CLIENTS[1]
    device = a_program(front)
    assert refresh(front, device, OWN).status == 200
    assert ask(front, "/auth/introspect", OWN, token=device.access_token).status == 200


@pytest.mark.ids("OA-02")
def test_who_is_known_is_not_asked_for_again():
    living = Living({client.id: client for client in CLIENTS})
    front = a_front(clients=living)
    device = a_program(front)
    assert refresh(front, device, OWN).status == 200
    front.device().refresh()
    ask(front, "/auth/token", client_id="default")
    ask(front, "/auth/introspect", basic("", "x"))
    assert living.asked == []


@pytest.mark.ids("OA-02", "ST-05", "ST-01")
def test_a_table_that_cannot_be_read_is_trouble_and_not_a_refusal(caplog):
    living = Living()
    living.away = True
    front = a_front(clients=living)
    for path in PATHS:
        answer = ask(front, path, OWN)
        assert (answer.status, answer.error) == (503, "temporarily_unavailable")
    assert front.send("POST", "/auth/login", json={"username": "a", "password": "b", "transport": "body", "client_id": "x"}).seen \
        == (503, "store_unavailable")  # fmt: skip
    assert "hunter2" not in caplog.text


@pytest.mark.ids("ATP-05")
def test_a_user_is_never_called_like_a_client_whenever_that_was_registered(caplog):
    clients = {"shop-web": RegisteredClient(id="shop-web")}
    front = a_front(clients=clients)
    front.device()
    clients["u-alice"] = RegisteredClient(id="u-alice")
    answer = front.send("POST", "/auth/login", json={"username": "alice", "password": "correct horse battery staple", "transport": "body"})  # fmt: skip
    assert answer.status == 500
    assert "equals a client_id" in caplog.text
    with pytest.raises(ConfigurationError, match="equals a client_id"):
        front.service._blocking_sessions().start(Principal(subject="u-alice"))


@pytest.mark.ids("OA-05", "OA-02")
def test_where_a_client_with_a_secret_may_come_the_metadata_says_how_it_proves_itself():
    told = a_front(clients=Living()).send("GET", "/.well-known/oauth-authorization-server").json
    assert told["introspection_endpoint"] == f"{ISSUER}/auth/introspect"
    assert told["introspection_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]
    assert told["token_endpoint_auth_methods_supported"] == ["none", "client_secret_basic", "client_secret_post"]


@pytest.mark.ids("RT-10")
def test_a_session_of_a_client_that_is_not_registered_is_not_started():
    front = a_front()
    doors = front.service._blocking_sessions()
    with pytest.raises(Exception, match="not registered"):
        doors.start(Principal(subject="u-alice"), client_id="shop-appi")
    assert doors.start(Principal(subject="u-alice"), client_id="shop-web").refresh_token
    doors.end_user("u-alice", reason=EndReason.LOGOUT)


def test_a_mapping_whose_names_are_not_its_clients_ids_is_refused():
    with pytest.raises(ConfigurationError, match="under another id"):
        a_front(clients={"shop": RegisteredClient(id="shop-web")})


def test_a_mapping_is_judged_like_a_list_when_the_service_is_built():
    with pytest.raises(ConfigurationError) as caught:
        a_front(clients={"default": RegisteredClient(id="default"), "a": RegisteredClient(id="a", secret_digest="x")})
    assert len(caught.value.faults) == 2


def test_what_look_up_gives_is_a_client_or_nothing():
    living = Living()
    living.table["shop-api"] = {"id": "shop-api"}
    assert is_refused(ask(a_front(clients=living), "/auth/introspect", OWN))


def test_a_copy_for_tests_sees_the_same_clients():
    living = Living()
    front = a_front(clients=living)
    with front.service.override(settings=settings_with(docs_login=True)):
        living.table["shop-api"] = CLIENTS[1]
        assert ask(front, "/auth/introspect", OWN).status == 200


@pytest.mark.ids("ST-05")
def test_trouble_of_ours_is_told_to_the_log_as_it_was():
    class Away(Living):
        def look_up(self, client_id):
            raise StoreError(cause="the table is away")

    with pytest.raises(StoreError) as caught:
        drive(a_front(clients=Away()).service._parts.core.clients.find("shop-api"))
    assert caught.value.cause == "the table is away"


def test_a_service_says_that_its_store_is_away_and_not_that_a_client_is_unknown():
    living = Living()
    living.away = True
    service = a_front(clients=living).service
    with pytest.raises(StoreError):
        drive(service._parts.core.clients.find("shop-api"))
