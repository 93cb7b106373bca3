"""Sign-in, step-up and refresh are counted before any work: what clients, attackers and victims see."""

import asyncio
import logging
import threading
from datetime import timedelta
from queue import SimpleQueue

import pytest

from keyturn import ConfigurationError, Limits, Service
from keyturn._binding import binding_digest
from keyturn._colour import drive
from keyturn.events import LoginFailed
from keyturn.http.routes import ROUTES
from keyturn.stores.memory import MemoryStore
from keyturn.stores.sqlite import SqliteStore
from keyturn.throttle import FREE, Admission, NoThrottle
from keyturn.throttle.memory import MemoryThrottle
from keyturn.throttle.sqlite import SqliteThrottle
from tests.support.front import (
    BIND,
    ISSUER,
    KEYS,
    PAGE,
    PASSWORD,
    Answer,
    BrokenStore,
    Members,
    a_front,
    basic,
    settings_with,
)


def login(front, username="alice", password=PASSWORD, *, cookies=None, peer="192.0.2.7", headers=PAGE, **more):
    request = front.request(
        "POST", "/auth/login", json={"username": username, "password": password, **more}, headers=headers,
        cookies=cookies or {},
    )  # fmt: skip
    return Answer(drive(front.service.handle(request._replace(peer=peer))))


def wrong(front, how_many=1, **more):
    """Sign in with the wrong password; the codes that it gave."""
    return [login(front, password="wrong", **more).code for _ in range(how_many)]


def strangers(how_many):
    return [f"198.51.{number // 250}.{number % 250}" for number in range(how_many)]


# --- sign-in -------------------------------------------------------------------------------------------------------


@pytest.mark.ids("AU-08", "RT-16", "HT-06")
def test_the_eleventh_wrong_password_within_a_minute_meets_429_before_any_work():
    front = a_front()
    assert wrong(front, 10) == ["invalid_credentials"] * 10
    hashed, asked = front.members.hashed, len(front.store.calls)
    answer = login(front)
    assert (answer.seen, answer.header("Retry-After")) == ((429, "rate_limited"), "6")
    assert (front.members.hashed, len(front.store.calls)) == (hashed, asked)
    assert answer.cookies == {}
    front.advance(6)
    assert login(front).status == 200


@pytest.mark.ids("AU-06", "AU-08")
def test_an_unknown_name_and_a_disabled_one_are_counted_like_any_other():
    told = {name: wrong(a_front(), 13, username=name) for name in ("alice", "nobody", "mallory")}
    assert told["nobody"] == told["mallory"] == told["alice"]
    front = a_front()
    # the right password of somebody who may not sign in is a failure: else counting would tell it from a wrong one
    assert [login(front, "mallory").code for _ in range(13)] == told["alice"]
    answers = {name: login(made, name) for name, made in (("alice", a_front()), ("nobody", a_front()))}
    assert {name: answer.status for name, answer in answers.items()} == {"alice": 200, "nobody": 401}


@pytest.mark.ids("AU-08")
def test_only_failures_count():
    front = a_front(settings_with(max_sessions=3))
    assert {login(front).status for _ in range(40)} == {200}
    assert wrong(front, 10) == ["invalid_credentials"] * 10


@pytest.mark.ids("AU-08")
@pytest.mark.parametrize("stands_in_the_way", ["scope", "session limit", "store"])
def test_a_right_password_is_no_failure_whatever_stands_in_the_way(stands_in_the_way):
    front = a_front(settings_with(max_sessions=1, on_limit="refuse"))
    if stands_in_the_way != "scope":
        login(front)
    front.advance(0.001)
    front.store.broken = stands_in_the_way == "store"
    scope = {"scope": "admin"} if stands_in_the_way == "scope" else {}
    codes = {login(front, **scope).code for _ in range(20)}
    front.store.broken = False
    assert codes == {
        {"scope": "invalid_scope", "session limit": "session_limit", "store": "store_unavailable"}[stands_in_the_way]
    }
    assert wrong(front, 12) == ["invalid_credentials"] * 10 + ["rate_limited"] * 2


@pytest.mark.ids("AU-08", "ST-05")
def test_users_that_cannot_tell_leave_the_attempt_counted():
    front = a_front()
    front.members.trouble = RuntimeError("users are away")
    assert {login(front).code for _ in range(10)} == {"store_unavailable"}
    front.members.trouble = None
    assert login(front).code == "rate_limited"


@pytest.mark.ids("AU-08")
def test_the_authorization_header_and_the_documentation_page_are_counted_with_the_rest():
    front = a_front(settings_with(docs_login=True))
    for _ in range(4):
        assert front.send("POST", "/auth/login", headers=[basic("alice", "no"), *PAGE]).code == "invalid_credentials"
        form = {"username": "alice", "password": "no"}
        assert front.send("POST", "/auth/docs-token", form=form, headers=PAGE).error == "invalid_grant"
    wrong(front, 2)
    assert front.send("POST", "/auth/login", headers=[basic("alice", PASSWORD), *PAGE]).seen == (429, "rate_limited")
    answer = front.send("POST", "/auth/docs-token", form={"username": "alice", "password": PASSWORD}, headers=PAGE)
    assert (answer.status, answer.error, answer.header("Retry-After")) == (429, "temporarily_unavailable", "6")


@pytest.mark.ids("AU-08", "AU-12")
def test_a_refused_sign_in_is_told():
    front = a_front()
    wrong(front, 11)
    assert [fact.reason for fact in front.facts if isinstance(fact, LoginFailed)][-2:] == [
        "invalid_credentials", "rate_limited",
    ]  # fmt: skip


@pytest.mark.ids("AU-08")
def test_sixty_four_guesses_at_once_reach_no_more_hashes_than_the_limit():
    class Slow(Members):
        """Hashing takes until all guesses are at the door."""

        def authenticate(self, username, password, request):
            gate.wait(30)
            return super().authenticate(username, password, request)

    gate = threading.Event()
    front = a_front(members=Slow())
    told = SimpleQueue()
    threads = [threading.Thread(target=lambda: told.put(wrong(front)[0])) for _ in range(64)]
    for thread in threads:
        thread.start()
    seen = [told.get(timeout=30) for _ in range(54)]  # refused at once
    gate.set()
    for thread in threads:
        thread.join()
    seen += [told.get() for _ in range(10)]
    assert front.members.hashed == 10
    assert (seen.count("rate_limited"), seen.count("invalid_credentials")) == (54, 10)


# --- the victim ----------------------------------------------------------------------------------------------------


@pytest.mark.ids("AU-08")
def test_a_victims_known_browser_signs_in_while_attackers_exhaust_the_name_from_many_addresses():
    front = a_front()
    jar = login(front).cookies
    attack = [wrong(front, peer=address)[0] for address in strangers(120)]
    assert attack.count("invalid_credentials") == 100
    assert login(front, peer="203.0.113.5").code == "rate_limited"
    assert login(front, cookies=jar, peer="203.0.113.5").status == 200


@pytest.mark.ids("AU-08")
def test_a_victims_new_browser_waits_no_longer_than_it_is_told():
    front = a_front()
    for address in strangers(120):
        wrong(front, peer=address)
    refused = login(front, peer="203.0.113.5")
    assert refused.header("Retry-After") == "36"
    front.advance(36)
    assert login(front, peer="203.0.113.5").status == 200


@pytest.mark.ids("AU-08")
def test_the_browser_is_known_by_the_cookie_of_its_latest_sign_in_too():
    front = a_front()
    first = login(front).cookies
    second = login(front, cookies=first).cookies
    assert first[BIND] != second[BIND]
    wrong(front, 10)
    assert login(front, cookies=second).status == 200
    assert login(front, cookies=first).status == 200


@pytest.mark.ids("AU-08")
@pytest.mark.parametrize("planted", ["A" * 43, "", "x", "A" * 4000])
def test_a_made_up_cookie_is_no_proof(planted):
    front = a_front()
    wrong(front, 10)
    hashed = front.members.hashed
    assert login(front, cookies={BIND: planted}).code == "rate_limited"
    assert front.members.hashed == hashed


@pytest.mark.ids("AU-08")
def test_an_attackers_own_browser_is_no_proof_for_a_victims_name():
    front = a_front()
    mine = login(front, "bob").cookies
    wrong(front, 10)
    assert login(front, cookies=mine).code == "rate_limited"


@pytest.mark.ids("AU-08")
def test_a_stolen_binding_cookie_guesses_no_faster_than_a_stranger():
    front = a_front()
    jar = login(front).cookies
    assert wrong(front, 14, cookies=jar) == ["invalid_credentials"] * 10 + ["rate_limited"] * 4


# --- step-up -------------------------------------------------------------------------------------------------------


@pytest.mark.ids("AU-08", "RT-16")
def test_a_step_up_is_counted_for_its_session_and_only_failures_count():
    front = a_front()
    device, other = front.device(), front.device()
    for _ in range(15):
        assert device.call("POST", "/auth/step-up", json={"password": PASSWORD}).status == 200
    codes = [device.call("POST", "/auth/step-up", json={"password": "no"}).code for _ in range(12)]
    assert codes == ["invalid_credentials"] * 10 + ["rate_limited"] * 2
    hashed, asked = front.members.hashed, len(front.store.calls)
    answer = device.call("POST", "/auth/step-up", json={"password": PASSWORD})
    assert (answer.seen, answer.header("Retry-After")) == ((429, "rate_limited"), "6")
    assert (front.members.hashed, len(front.store.calls)) == (hashed, asked)
    assert other.call("POST", "/auth/step-up", json={"password": PASSWORD}).status == 200
    assert login(front).status == 200


# --- refresh -------------------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-16", "HT-06")
@pytest.mark.parametrize("transport", ["cookie", "body"])
def test_refreshes_of_one_session_beyond_the_limit_meet_429_before_the_store_and_keep_their_cookies(transport):
    front = a_front()
    device, other = front.device(transport=transport), front.device(transport=transport)
    assert {device.refresh().status for _ in range(60)} == {200}
    asked, loads = len(front.store.calls), front.members.loads
    answer = device.refresh()
    assert (answer.seen, answer.header("Retry-After")) == ((429, "rate_limited"), "1")
    assert (len(front.store.calls), front.members.loads) == (asked, loads)
    assert answer.cookies == {}
    assert other.refresh().status == 200
    front.advance(1)
    assert device.refresh().status == 200


@pytest.mark.ids("RT-16")
def test_refreshes_at_the_token_endpoint_share_the_sessions_count():
    front = a_front()
    device = front.device(transport="body", client_id="shop-web")

    def token():
        form = {"grant_type": "refresh_token", "refresh_token": device.refresh_token, "client_id": "shop-web"}
        answer = front.send("POST", "/auth/token", form=form)
        device.keep(answer)
        device.refresh_token = answer.json.get("refresh_token", device.refresh_token)
        return answer

    assert {token().status for _ in range(60)} == {200}
    asked = len(front.store.calls)
    answer = token()
    assert (answer.status, answer.error, answer.header("Retry-After")) == (429, "temporarily_unavailable", "1")
    assert len(front.store.calls) == asked
    assert device.refresh().code == "rate_limited"


@pytest.mark.ids("RT-16", "RT-07")
def test_what_is_not_genuine_is_counted_for_nobody():
    front = a_front()
    device = front.device(transport="body")
    forged = device.refresh_token[:-4] + ("AAAA" if device.refresh_token[-4:] != "AAAA" else "BBBB")
    for _ in range(100):
        assert front.send("POST", "/auth/refresh", json={"refresh_token": forged}).code == "token_invalid"
    assert device.refresh().status == 200


def refresh(front, cookies, binding=None, peer="198.51.100.66"):
    kept = {name: value for name, value in cookies.items() if name != BIND}
    jar = kept if binding is None else {**kept, BIND: binding}
    request = front.request("POST", "/auth/refresh", headers=PAGE, cookies=jar)
    return Answer(drive(front.service.handle(request._replace(peer=peer))))


@pytest.mark.ids("RT-16")
@pytest.mark.parametrize(
    "planted", [lambda number: None, lambda number: "A" * 43, lambda number: f"{number:043}"],
    ids=["no binding", "a wrong one", "many"],
)  # fmt: skip
@pytest.mark.parametrize("shared", [False, True])
def test_a_leaked_token_without_its_binding_keeps_nobody_from_refreshing(planted, shared, tmp_path):
    throttle = SqliteThrottle(tmp_path / "counters.db") if shared else Limits()
    front = a_front(throttle=throttle)
    leaked = login(front).cookies
    mine = {**leaked, **refresh(front, leaked, leaked[BIND]).cookies}
    codes = [refresh(front, leaked, planted(number)).code for number in range(100)]
    # all who cannot show the binding share one count: many bindings are no more tries than one
    most = 60 + 6 * shared
    assert codes == ["binding_mismatch"] * most + ["rate_limited"] * (100 - most)
    asked = len(front.store.calls)
    assert refresh(front, leaked, planted(0)).code == "rate_limited"
    assert len(front.store.calls) == asked
    assert refresh(front, mine, mine[BIND]).status == 200
    if shared:
        throttle.close()


@pytest.mark.ids("RT-16", "ST-05")
def test_a_throttle_that_fails_to_learn_of_a_sessions_browser_costs_no_answer(caplog):
    class Forgetful(MemoryThrottle):
        def proven(self, session_id, browser, *, now):
            raise RuntimeError(browser)

    front = a_front(throttle=Forgetful())
    with caplog.at_level(logging.WARNING, "keyturn"):
        jar = login(front).cookies
    assert refresh(front, jar, jar[BIND]).status == 200
    assert "RuntimeError" in caplog.text
    assert binding_digest(jar[BIND]).hex() not in caplog.text


@pytest.mark.ids("RT-16")
def test_refreshes_from_one_address_are_not_limited_unless_asked_for():
    devices = 70
    front = a_front(settings_with(max_sessions=devices))
    assert {front.device().refresh().status for _ in range(devices)} == {200}
    front = a_front(settings_with(max_sessions=devices), throttle=Limits(refresh_per_address="60/minute"))
    codes = [front.device().refresh().code for _ in range(devices)]
    assert codes.count("rate_limited") == 10


# --- proxies -------------------------------------------------------------------------------------------------------

PROXY = "10.0.0.1"


def behind(front, client, **more):
    forwarded = [(b"x-forwarded-for", client.encode())]
    return login(front, peer=PROXY, headers=[*PAGE, *forwarded], **more)


@pytest.mark.ids("HT-08", "AU-08")
def test_behind_a_trusted_proxy_each_client_has_its_own_count_and_address():
    front = a_front(trusted_proxies=("10.0.0.0/8",))
    for _ in range(10):
        behind(front, "203.0.113.1", password="no")
    assert behind(front, "203.0.113.1").code == "rate_limited"
    assert behind(front, "203.0.113.2").status == 200
    (row,) = front.picture()[0].values()
    assert row.ip == "203.0.113.2"


@pytest.mark.ids("HT-08", "AU-08")
@pytest.mark.parametrize("proxies", [(), ("172.16.0.0/12",)])
def test_a_spoofed_field_gives_nobody_a_fresh_count(proxies):
    front = a_front(trusted_proxies=proxies)
    for number in range(10):
        behind(front, f"203.0.113.{number}", password="no")
    assert behind(front, "203.0.113.99").code == "rate_limited"


@pytest.mark.ids("HT-08", "AU-08")
def test_what_a_client_writes_before_the_proxys_own_word_counts_for_nothing():
    front = a_front(trusted_proxies=(PROXY,))
    for number in range(10):
        behind(front, f"203.0.113.{number}, 198.51.100.66", password="no")
    assert behind(front, "203.0.113.99, 198.51.100.66").code == "rate_limited"


@pytest.mark.ids("AU-08")
@pytest.mark.parametrize("here", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", ""])
def test_behind_a_proxy_on_this_machine_that_nobody_named_one_guesser_shuts_out_nobody_else(here):
    front = a_front()
    for number in range(150):
        login(front, f"user {number}", "no", peer=here)
    assert login(front, peer=here).status == 200
    # each name is limited all the same
    assert wrong(front, 12, peer=here) == ["invalid_credentials"] * 10 + ["rate_limited"] * 2


@pytest.mark.ids("AU-08")
@pytest.mark.parametrize("proxies", [("127.0.0.1",), ("unix", "127.0.0.0/8")])
def test_a_proxy_on_this_machine_that_is_named_and_tells_no_client_counts_itself(proxies):
    front = a_front(trusted_proxies=proxies)
    for number in range(100):
        login(front, f"user {number}", "no", peer="127.0.0.1")
    assert login(front, peer="127.0.0.1").code == "rate_limited"


@pytest.mark.ids("RT-16")
def test_refreshes_behind_a_proxy_on_this_machine_that_nobody_named_share_no_address():
    front = a_front(throttle=Limits(refresh_per_address="5/minute"))
    request = front.request("POST", "/auth/refresh", headers=PAGE, cookies=login(front).cookies)

    def refreshed(peer):
        return [Answer(drive(front.service.handle(request._replace(peer=peer)))).status for _ in range(7)]

    assert refreshed("127.0.0.1") == [200] * 7
    assert refreshed("192.0.2.7") == [200] * 5 + [429] * 2


@pytest.mark.ids("HT-08", "AU-08")
def test_a_proxy_that_nobody_named_is_told_of_once_and_what_it_said_never(caplog):
    front = a_front()
    with caplog.at_level(logging.WARNING, "keyturn"):
        for number in range(3):
            behind(front, f"203.0.113.{number}")
    (record,) = caplog.records
    assert "trusted_proxies" in record.getMessage()
    assert "203.0.113" not in caplog.text


@pytest.mark.ids("HT-08")
def test_in_development_the_host_that_a_trusted_proxy_names_is_judged():
    from keyturn import Settings

    settings = Settings(profile="development")
    headers = [(b"host", b"localhost:8000"), (b"x-forwarded-host", b"rebound.example")]
    for proxies, status in (((), 401), (("192.0.2.7",), 421)):
        front = a_front(settings, trusted_proxies=proxies)
        assert front.send("GET", "/auth/session", headers=headers).status == status


def test_a_proxy_that_is_no_address_is_a_fault():
    with pytest.raises(ConfigurationError, match="trusted_proxies has 'nginx'"):
        a_front(trusted_proxies=["nginx"])


# --- which throttle ------------------------------------------------------------------------------------------------


def a_service(**more):
    more = {"settings": settings_with(), "store": "memory:", "keys": KEYS, "users": Members(), **more}
    return Service(more.pop("settings"), **more)


@pytest.mark.ids("AU-08")
def test_whoever_says_nothing_is_counted_in_memory_and_in_the_testing_profile_nobody_is():
    from keyturn import Settings

    for profile in ("browser", "native", "strict", "development"):
        settings = Settings(profile=profile, **({} if profile == "development" else {"issuer": ISSUER}))
        throttle = a_service(settings=settings).throttle
        assert isinstance(throttle, MemoryThrottle)
        assert throttle.limits == Limits()
    testing = Settings(profile="testing")
    assert isinstance(a_service(settings=testing).throttle, NoThrottle)
    assert isinstance(a_service(settings=testing, throttle=Limits()).throttle, MemoryThrottle)


def test_a_throttle_is_named_in_one_word(tmp_path):
    assert a_service(throttle=Limits(login_per_user="50/hour")).throttle.limits == Limits(login_per_user="50/hour")
    assert isinstance(a_service(throttle=None).throttle, NoThrottle)
    counters = a_service(throttle=f"sqlite:///{tmp_path / 'counters.db'}").throttle
    assert isinstance(counters, SqliteThrottle)
    beside = a_service(store=f"sqlite:///{tmp_path / 'app.db'}", throttle="store").throttle
    assert beside.path == tmp_path / "app.db.throttle"
    mine = MemoryThrottle()
    assert a_service(throttle=mine).throttle is mine
    with pytest.raises(ConfigurationError, match="needs the store's address"):
        a_service(store=SqliteStore(tmp_path / "app.db"), throttle="store")
    with pytest.raises(ConfigurationError, match="no throttle is known"):
        a_service(throttle="memcached:")


def test_closing_the_service_closes_what_it_opened(tmp_path):
    front = a_front(throttle=f"sqlite:///{tmp_path / 'counters.db'}")
    wrong(front)
    assert (tmp_path / "counters.db-wal").exists()
    front.service.close()
    assert not (tmp_path / "counters.db-wal").exists()


@pytest.mark.ids("AU-08")
def test_in_a_test_that_overrides_parts_counting_begins_anew():
    front = a_front()
    wrong(front, 10)
    with front.service.override():
        assert wrong(front, 1) == ["invalid_credentials"]
    assert wrong(front, 1) == ["rate_limited"]
    with front.service.override(throttle=None):
        assert wrong(front, 20) == ["invalid_credentials"] * 20
    with front.service.override(throttle=Limits(login_per_user_and_address="1/hour")):
        assert wrong(front, 2) == ["invalid_credentials", "rate_limited"]


def test_a_throttle_of_the_applications_own_is_the_same_in_an_override():
    mine = MemoryThrottle()
    front = a_front(throttle=mine)
    with front.service.override():
        assert type(front.service.throttle) is MemoryThrottle


class Awaiting:
    """A throttle over a client that awaits."""

    colour = "async"

    def __init__(self):
        self.loops, self.left = [], 1

    async def admit(self, attempt):
        await asyncio.sleep(0)
        self.loops.append(asyncio.get_running_loop())
        self.left -= 1
        return FREE if self.left >= 0 else Admission(wait=timedelta(seconds=3))

    async def succeeded(self, attempt, admission, *, now, browser=""):
        await asyncio.sleep(0)


class Blocking:
    """A throttle over a client that blocks."""

    colour = "sync"

    def __init__(self, at_once=None):
        self.threads, self.left, self.answered = [], 1, []
        if at_once is not None:
            self.at_once = lambda attempt: self.answered.append(attempt.action) or at_once

    async def admit(self, attempt):
        self.threads.append(threading.current_thread())
        self.left -= 1
        return FREE if self.left >= 0 else Admission(wait=timedelta(seconds=3))

    async def succeeded(self, attempt, admission, *, now, browser=""):
        self.threads.append(threading.current_thread())


def test_a_door_that_blocks_refuses_a_throttle_that_awaits():
    with pytest.raises(ConfigurationError, match="the throttle awaits"):
        a_front(throttle=Awaiting())
    front = a_front(throttle=Blocking())
    assert login(front).status == 200
    assert login(front).status == 429


@pytest.mark.anyio
@pytest.mark.parametrize("store", ["sync", "both"])
@pytest.mark.parametrize("made", [Awaiting, Blocking])
async def test_a_door_that_awaits_asks_a_throttle_of_either_colour_in_its_own_way(store, made):
    from keyturn.starlette import Keyturn

    throttle = made()
    front = a_front(kind=Keyturn, throttle=throttle, store=BrokenStore(MemoryStore(), store))
    request = front.request(
        "POST", "/auth/login", json={"username": "alice", "password": PASSWORD}, headers=PAGE
    )  # fmt: skip

    async def body(limit):
        return b'{"username": "alice", "password": "%s"}' % PASSWORD.encode()

    statuses = [(await front.service.handle(request._replace(read=body))).status for _ in range(2)]
    assert statuses == [200, 429]
    if made is Awaiting:
        assert throttle.loops == [asyncio.get_running_loop()] * 2
    else:
        assert threading.main_thread() not in throttle.threads
        assert len(throttle.threads) == 3


def test_what_can_be_answered_at_once_asks_no_thread():
    throttle = Blocking(at_once=FREE)
    front = a_front(throttle=throttle)
    assert login(front).status == 200
    assert throttle.answered == ["login"]
    assert len(throttle.threads) == 1  # the giving back


# --- trouble -------------------------------------------------------------------------------------------------------


class Troubled:
    """A throttle that cannot tell, of a make that knows nothing of our errors."""

    def __init__(self, *verbs):
        self.verbs = verbs

    async def admit(self, attempt):
        if "admit" in self.verbs:
            raise RuntimeError("connection lost while counting alice, password=hunter2")
        return FREE

    async def succeeded(self, attempt, admission, *, now, browser=""):
        if "succeeded" in self.verbs:
            raise RuntimeError("connection lost")


@pytest.mark.ids("ST-05", "AU-08")
def test_a_throttle_in_trouble_lets_nobody_through_and_signs_nobody_out(caplog):
    caplog.set_level(logging.DEBUG)
    front = a_front(throttle=None)
    cookie, body, stepping = front.device(), front.device(transport="body"), front.device()
    broken = a_front(throttle=Troubled("admit"), store=front.store, clock=front.clock)
    asked, hashed = len(front.store.calls), broken.members.hashed
    for device in (cookie, body, stepping):
        device.front = broken
    answers = [login(broken), cookie.refresh(), body.refresh()]
    assert {answer.seen for answer in answers} == {(503, "store_unavailable")}
    assert {answer.header("Retry-After") for answer in answers} == {"1"}
    assert {len(answer.cookies) for answer in answers} == {0}
    assert (len(front.store.calls), broken.members.hashed) == (asked, hashed)
    assert stepping.call("POST", "/auth/step-up", json={"password": PASSWORD}).seen == (503, "store_unavailable")
    assert broken.members.hashed == hashed
    assert "hunter2" not in caplog.text
    cookie.front = front
    assert cookie.refresh().status == 200


@pytest.mark.ids("ST-05")
def test_trouble_in_giving_back_loses_no_sign_in():
    front = a_front(throttle=Troubled("succeeded"))
    assert login(front).status == 200
    device = front.device()
    assert device.call("POST", "/auth/step-up", json={"password": PASSWORD}).status == 200


# --- what grows ----------------------------------------------------------------------------------------------------


@pytest.mark.ids("DS-02")
def test_a_users_rows_are_bounded_however_often_they_sign_in():
    front = a_front(settings_with(max_sessions=5))
    for _ in range(60):
        assert login(front).status == 200
        front.advance(1)
    rows, _ = front.picture()
    assert sum(row.ended_at is None for row in rows.values()) == 5
    purged = drive(front.store.behind.purge(front.clock(), limit=1000))
    assert purged.count == 55
    assert len(front.picture()[0]) == 5
    # the browsers of one user, and each session's own (of all users a bounded table); what was counted was given back
    assert len(front.service.throttle) == 1 + 60


@pytest.mark.ids("RT-16")
def test_every_route_that_takes_a_password_or_a_refresh_token_to_turn_is_counted():
    class Refusing:
        async def admit(self, attempt):
            return Admission(wait=timedelta(seconds=1))

    front = a_front(settings_with(docs_login=True), throttle=None)
    device, program = front.device(), front.device(transport="body")
    front = a_front(settings_with(docs_login=True), throttle=Refusing(), store=front.store, clock=front.clock)
    device.front = program.front = front
    counted = {
        "/login": login(front),
        "/refresh": device.refresh(),
        "/step-up": device.call("POST", "/auth/step-up", json={"password": PASSWORD}),
        "/token": front.send("POST", "/auth/token", form={"grant_type": "refresh_token", "refresh_token": program.refresh_token}),
        "/docs-token": front.send("POST", "/auth/docs-token", form={"username": "alice", "password": PASSWORD}, headers=PAGE),
    }  # fmt: skip
    assert {path: answer.status for path, answer in counted.items()} == dict.fromkeys(counted, 429)
    free = {"/logout", "/logout-all", "/session", "/sessions", "/sessions/", "/revoke", "/introspect", "/jwks.json"}
    free |= {"/client.js"}
    assert {route.path for route in ROUTES} <= {*counted, *free}
