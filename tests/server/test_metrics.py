"""The numbers of a server: what is counted, under which names, and who may read them."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from starlette.testclient import TestClient

import keyturn
from keyturn import events
from keyturn.keys import new_ring, rotate_access
from keyturn.revocation import FloorMap
from keyturn.server.metrics import CODES, Metrics
from keyturn.server.sampling import Sources
from keyturn.session import EndReason
from keyturn.stores import Revocation, Revocations
from keyturn.testing.clock import ManualClock
from tests.support.observed import PASSWORD, a_server, numbers_in, numbers_of, refresh, sign_in, until_ready
from tests.support.rows import a_row

SOURCES = Path(keyturn.__file__).parent


def counted(*facts):
    metrics = Metrics(ManualClock())
    for fact in facts:
        metrics.listener(fact)
    return numbers_in(metrics.text()[0].decode())


AT = ManualClock()()
ROW = a_row()
FACTS = {
    "keyturn_sign_ins_total": events.SessionStarted(at=AT, session=ROW, principal=keyturn.Principal(subject="u")),
    "keyturn_refreshes_total": events.SessionRefreshed(at=AT, session=ROW),
    "keyturn_reissues_total": events.RefreshReissued(at=AT, session=ROW),
    "keyturn_recoveries_total": events.RefreshRecovered(at=AT, session=ROW),
    "keyturn_catch_ups_total": events.StoreWentBack(at=AT, session=ROW, row_generation=1, token_generation=4),
    "keyturn_reuse_detected_total": events.ReuseDetected(
        at=AT, session=ROW, behind=2, since_rotation=timedelta(1), sign_in_client=keyturn.Client()
    ),
    "keyturn_step_ups_total": events.SessionSteppedUp(at=AT, session=ROW),
    "keyturn_refreshes_required_total": events.RefreshRequired(at=AT, session_ids=("a", "b")),
    "keyturn_suspicious_refreshes_total": events.RefreshRefused(at=AT, code="binding_mismatch", reason="x", high=True),
    **{
        f'keyturn_sessions_ended_total{{reason="{reason.value}"}}': events.SessionEnded(
            at=AT, session=ROW, reason=reason
        )
        for reason in EndReason
    },
    **{
        f'keyturn_sign_in_failures_total{{reason="{reason}"}}': events.LoginFailed(at=AT, username="ada", reason=reason)
        for reason in ("invalid_credentials", "rate_limited", "invalid_scope", "session_limit")
    },
    'keyturn_sign_in_failures_total{reason="other"}': events.LoginFailed(at=AT, username="ada", reason="new"),
}


@pytest.mark.ids("AU-12")
@pytest.mark.parametrize("name", FACTS)
def test_every_event_is_counted_under_its_own_name_and_no_other(name):
    before, after = counted(), counted(FACTS[name])
    assert before[name] == 0
    assert {each for each in after if after[each] != before[each]} == {name}
    assert after[name] == 1


def test_a_refusal_that_is_harmless_is_no_suspicion():
    harmless = events.RefreshRefused(at=AT, code="token_stale", reason="x")
    assert counted(harmless) == counted()


def test_every_kind_of_event_is_counted():
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)}
    assert kinds - {events.Event} == {type(fact) for fact in FACTS.values()}


@pytest.mark.ids("DS-02")
def test_every_code_of_ours_is_a_label_and_any_other_is_other():
    answering = [SOURCES / "errors.py", *(SOURCES / "http").rglob("*.py"), *(SOURCES / "server").glob("*_routes.py")]
    text = "".join(path.read_text() for path in answering)
    written = set(re.findall(r'(?:default_code = |\bcode=)"([a-z_]+)"', text))
    assert len(written) > 20
    assert written - {"configuration_error"} <= CODES, "name the new code in metrics.CODES"
    metrics = Metrics(ManualClock())
    for code in (*sorted(CODES), "made-up-1", "made-up-2", ""):
        metrics.begun()
        metrics.answered("/x", 400, 0.1, code)
    found = numbers_in(metrics.text()[0].decode())
    refusals = {name: value for name, value in found.items() if name.startswith("keyturn_refusals_total")}
    assert refusals.pop('keyturn_refusals_total{code="other"}') == 3
    assert refusals == {f'keyturn_refusals_total{{code="{code}"}}': 1 for code in CODES}


def test_an_answer_that_is_no_error_is_no_refusal():
    metrics = Metrics(ManualClock())
    metrics.begun()
    metrics.answered("/x", 200, 0.1, "store_unavailable")
    assert not any(value for name, value in numbers_in(metrics.text()[0].decode()).items() if "refusals" in name)


def test_latency_is_told_by_route_and_class_of_status():
    metrics = Metrics(ManualClock())
    for status, seconds in ((200, 0.004), (204, 0.3), (404, 0.004), (0, 20)):
        metrics.begun()
        metrics.answered("/auth/refresh", status, seconds)
    metrics.begun()
    found = numbers_in(metrics.text()[0].decode())
    name = 'keyturn_http_request_duration_seconds_{}route="/auth/refresh",status="{}"}}'
    assert found[name.format("count{", "2xx")] == 2
    assert found[name.format("sum{", "2xx")] == pytest.approx(0.304)
    assert found[name.format('bucket{le="0.005",', "2xx")] == 1
    assert found[name.format("count{", "4xx")] == 1
    assert found[name.format('bucket{le="10.0",', "none")] == 0
    assert found["keyturn_http_requests_in_progress"] == 1


def watched(metrics, clock, **more) -> tuple[FloorMap, SimpleNamespace]:
    floors, queue = FloorMap(), SimpleNamespace(running=1, waiting=5, limit=2)
    given = {
        "floors": lambda: floors,
        "ring": lambda: new_ring(now=clock(), entropy=os.urandom),
        "hashing": queue,
        **more,
    }
    metrics.watch(Sources(**given))
    return floors, queue


def test_propagation_age_is_the_age_of_the_picture_of_ended_sessions():
    clock = ManualClock()
    metrics = Metrics(clock)
    clock.advance(30)
    floors, _ = watched(metrics, clock)
    assert numbers_in(metrics.text()[0].decode())["keyturn_propagation_age_seconds"] == 30  # never read
    entry = Revocation(session_id="AXrP0sB4Qm2x5o1mG8yFhA", floor=3, until=clock() + timedelta(hours=1))
    floors.load(Revocations(position="1", entries=[entry]), as_of=clock())
    clock.advance(7)
    floors.served_stale = 4
    found = numbers_in(metrics.text()[0].decode())
    assert found["keyturn_propagation_age_seconds"] == 7
    assert found["keyturn_revocations_read_timestamp_seconds"] == pytest.approx(clock().timestamp() - 7, abs=1e-3)
    assert found["keyturn_floors"] == 1
    assert found["keyturn_stale_answers_total"] == 4
    assert numbers_in(metrics.text()[0].decode())["keyturn_stale_answers_total"] == 4


def test_the_queue_of_hashes_is_shown_as_it_is_now():
    clock = ManualClock()
    metrics = Metrics(clock)
    _, queue = watched(metrics, clock)
    queue.waiting = 17
    found = numbers_in(metrics.text()[0].decode())
    names = [f"keyturn_password_hashes_{name}" for name in ("running", "waiting", "limit")]
    assert [found[name] for name in names] == [1, 17, 2]


def test_a_key_that_waits_and_one_in_trouble_are_shown():
    clock = ManualClock()
    metrics = Metrics(clock)
    ring = new_ring(now=clock(), entropy=os.urandom)
    state = {"ring": ring, "trouble": False}
    watched(metrics, clock, ring=lambda: state["ring"], key_trouble=lambda: state["trouble"])
    found = numbers_in(metrics.text()[0].decode())
    waiting, trouble = 'keyturn_next_key_signs_timestamp_seconds{purpose="access"}', "keyturn_key_trouble"
    made = 'keyturn_signing_key_created_timestamp_seconds{purpose="access"}'
    assert (found[waiting], found[trouble]) == (0, 0)
    first = found[made]
    clock.advance(timedelta(days=1))
    state.update(ring=rotate_access(ring, now=clock(), entropy=os.urandom), trouble=True)
    found = numbers_in(metrics.text()[0].decode())
    assert found[waiting] > clock().timestamp()
    assert (found[trouble], found[made]) == (1, first)
    clock.advance(timedelta(hours=1))
    found = numbers_in(metrics.text()[0].decode())
    assert found[waiting] == 0
    assert found[made] == pytest.approx(first + 86400)


def test_two_applications_in_one_process_count_apart():
    one, other = Metrics(ManualClock()), Metrics(ManualClock())
    one.listener(FACTS["keyturn_sign_ins_total"])
    assert numbers_in(one.text()[0].decode())["keyturn_sign_ins_total"] == 1
    assert numbers_in(other.text()[0].decode())["keyturn_sign_ins_total"] == 0


# --- the server --------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(tmp_path) -> Iterator[TestClient]:
    with a_server(tmp_path) as (client, _):
        yield client


def test_a_running_server_counts_what_its_users_do(client):
    first = sign_in(client).json()
    second = refresh(client, first["refresh_token"]).json()
    third = refresh(client, second["refresh_token"]).json()
    assert refresh(client, second["refresh_token"]).status_code == 200  # a retry
    assert refresh(client, first["refresh_token"]).status_code == 401
    assert refresh(client, third["refresh_token"]).status_code == 401
    assert sign_in(client, "not the password").status_code == 401
    assert client.get("/auth/session").status_code == 401
    assert client.get("/nowhere/" + "x" * 50).status_code == 404
    found = numbers_of(client)
    told = {
        "keyturn_sign_ins_total": 1,
        "keyturn_refreshes_total": 2,
        "keyturn_reissues_total": 1,
        "keyturn_reuse_detected_total": 1,
        'keyturn_sessions_ended_total{reason="reuse"}': 1,
        'keyturn_sign_in_failures_total{reason="invalid_credentials"}': 1,
        'keyturn_refusals_total{code="session_ended"}': 2,
        'keyturn_refusals_total{code="invalid_credentials"}': 1,
        'keyturn_refusals_total{code="token_missing"}': 1,
        'keyturn_refusals_total{code="not_found"}': 1,
        'keyturn_refusals_total{code="other"}': 0,
        'keyturn_http_request_duration_seconds_count{route="/auth/refresh",status="2xx"}': 3,
        'keyturn_http_request_duration_seconds_count{route="unknown",status="4xx"}': 1,
        "keyturn_http_requests_in_progress": 1,  # the one that asks
        "keyturn_workers": 1,
    }
    assert {name: found[name] for name in told} == told
    assert found["keyturn_propagation_age_seconds"] < 60


@pytest.mark.ids("ST-01", "DS-02")
def test_labels_hold_words_of_ours_alone(client):
    answer = sign_in(client).json()
    secrets = [answer["access_token"], answer["refresh_token"], answer["session_id"], PASSWORD]
    for number in range(30):
        client.get(f"/nowhere/{number}", headers={"User-Agent": f"agent-{number}"})
        client.delete(f"/auth/sessions/made-up-{number}", headers={"Authorization": f"Bearer {answer['access_token']}"})
        client.request(f"METHOD{number}", "/auth/login")
        sign_in(client, username=f"name-{number}")
    text = client.get("/metrics").text
    for hostile in (*secrets, "made-up", "agent-", "name-", "METHOD", "nowhere", "127.0.0.1", "usr_"):
        assert hostile not in text
    labels = set(re.findall(r'(\w+)="', text))
    assert labels == {"reason", "code", "route", "status", "le", "purpose", "version", "python"}
    assert 'route="/auth/sessions/{id}"' in text
    assert len(text.splitlines()) < 400


def test_both_formats_of_prometheus_are_spoken_and_every_name_is_ours(client):
    client.get("/metrics")  # the first answer of all is timed
    plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert plain.headers["cache-control"] == "no-store"
    modern = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    families = [list(read_text(plain.text)), list(read_openmetrics(modern.text))]
    for found in families:
        assert len(found) > 20
        assert all(family.name.startswith("keyturn_") and family.documentation for family in found)
    assert modern.text.endswith("# EOF\n")
    names = [{sample.name for family in found for sample in family.samples} for found in families]
    assert names[0] == names[1]


@pytest.mark.ids("HT-04")
@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host", "X-Forwarded-Proto"]
)
def test_metrics_are_not_there_for_whoever_comes_through_a_proxy(client, header):
    assert client.get("/metrics").status_code == 200
    through = client.get("/metrics", headers={header: "127.0.0.1"})
    nothing = client.get("/nothing")
    assert through.status_code == 404
    assert through.json() == nothing.json()


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        ("127.0.0.1", 200), ("::1", 200), ("10.1.2.3", 200), ("192.168.7.7", 200), ("172.20.0.5", 200),
        ("fd00::7", 200), ("fe80::1%eth0", 200), ("::ffff:10.0.0.1", 200),
        ("8.8.8.8", 404), ("2606:4700::1111", 404), ("::ffff:8.8.8.8", 404), ("testclient", 404), ("", 404),
    ],
)  # fmt: skip
def test_metrics_are_for_this_machine_and_for_private_networks(client, peer, status):
    with TestClient(client.app, base_url="http://127.0.0.1:8000", client=(peer, 1)) as from_there:
        assert from_there.get("/metrics").status_code == status


def test_metrics_can_be_switched_off(tmp_path):
    with a_server(tmp_path, metrics=False) as (client, _):
        assert sign_in(client).status_code == 200
        assert client.get("/metrics").json()["code"] == "not_found"
        until_ready(client)


def test_head_and_other_methods(client):
    head = client.head("/metrics")
    assert head.status_code == 200
    refused = client.post("/metrics")
    assert refused.status_code == 405
    assert {"GET", "HEAD"} <= set(refused.headers["allow"].split(", "))
