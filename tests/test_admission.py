"""Who may sign in, with what, and which sessions make room."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, strategies as st

from keyturn import _admission
from keyturn._admission import Start
from keyturn.errors import RequestError
from keyturn.session import Client, Session, new_session_id, session_id_bytes
from keyturn.settings import Settings
from keyturn.users import Principal
from tests.support.effort import examples
from tests.support.rows import BROWSER, DAY, NOW, STRICT, a_row, settings_with

# --- sign-in and the limit ------------------------------------------------------------------------------------------

ALICE = Principal(subject="user-7", scopes=frozenset({"read", "write"}))


def started(how: Start, settings: Settings = BROWSER, now: datetime = NOW) -> Session:
    return _admission.start(ALICE, how, now=now, settings=settings, random=b"\x09" * 14, seed=b"s" * 16, binding=None)


@pytest.mark.ids("RT-08", "P6", "SE-06")
def test_a_session_starts_with_an_absolute_end_and_never_idles_beyond_it():
    row = started(Start(transport="cookie"))
    assert row.expires_at == NOW + 90 * DAY
    assert row.idle_expires_at == NOW + 30 * DAY
    assert (row.generation, row.delivered, row.floor, row.access_floor) == (0, 0, 0, 0)
    equal = settings_with(idle_lifetime=30 * DAY, session_lifetime=30 * DAY)
    assert started(Start(transport="body"), equal).idle_expires_at == NOW + 30 * DAY


def test_a_session_that_is_not_remembered_idles_out_after_a_day():
    assert started(Start(transport="cookie", remember=False)).idle_expires_at == NOW + DAY
    assert started(Start(transport="cookie", remember=False), STRICT).idle_expires_at == NOW + timedelta(minutes=15)


@pytest.mark.ids("RT-01", "SE-01", "M52")
def test_an_id_says_the_month_of_the_absolute_end_and_the_rest_is_chance():
    row = started(Start(transport="cookie"), now=datetime(2030, 10, 20, tzinfo=UTC))
    raw = new_session_id(row.expires_at, b"\x09" * 14)
    assert row.id == raw
    assert session_id_bytes(row.id) == ((2031 - 2000) * 12).to_bytes(2, "big") + b"\x09" * 14


def signed_in(number: int, seconds: int) -> Session:
    at = NOW + timedelta(seconds=seconds)
    return a_row(id=new_session_id(NOW, number.to_bytes(14, "big")), created_at=at, rotated_at=at)


def ids(sessions: list[Session]) -> list[str]:
    return [session.id for session in sessions]


@pytest.mark.ids("SE-05")
def test_below_the_limit_nothing_happens():
    live = [signed_in(number, number) for number in range(50)]
    for on_limit in ("end_oldest", "refuse"):
        assert _admission.over_limit(ids(live), live[-1].id, settings_with(on_limit=on_limit)) == ([], False)


@pytest.mark.ids("SE-05")
def test_the_oldest_go_or_the_new_one_is_refused():
    live = [signed_in(number, number) for number in range(4)]
    settings = settings_with(max_sessions=2)
    assert _admission.over_limit(ids(live), live[3].id, settings) == ([live[0].id, live[1].id], False)
    refuse = settings_with(max_sessions=2, on_limit="refuse")
    assert _admission.over_limit(ids(live), live[3].id, refuse) == ([live[3].id], True)


def _every_order(steps: int) -> st.SearchStrategy[list[int]]:
    """Orders in which `steps` logins take their three steps each: keep the row, look, end what must go."""
    return st.permutations([login for login in range(steps) for _ in range(3)])


def _run_logins(order: list[int], ages: list[int], settings: Settings) -> tuple[list[str], set[str]]:
    """Interleave logins; give the ids alive at the end, oldest first, and the ids that were refused."""
    rows_ = [signed_in(number, age) for number, age in enumerate(ages)]
    alive: dict[str, Session] = {}
    done = dict.fromkeys(range(len(rows_)), 0)
    surplus: dict[int, list[str]] = {}
    refused: set[str] = set()
    for login in order:
        row, done[login] = rows_[login], done[login] + 1
        if done[login] == 1:
            alive[row.id] = row
        elif done[login] == 2:
            live = sorted(alive.values(), key=lambda each: (each.created_at, each.id))
            surplus[login], is_refused = _admission.over_limit(ids(live), row.id, settings)
            if is_refused:
                refused.add(row.id)
        else:
            for id_ in surplus[login]:
                alive.pop(id_, None)
    ordered = sorted(rows_, key=lambda each: (each.created_at, each.id))
    return [row.id for row in ordered if row.id in alive], refused


@pytest.mark.ids("SE-05", "M18")
@examples(150)
@given(
    order=_every_order(5),
    ages=st.lists(st.integers(0, 3), min_size=5, max_size=5),
    limit=st.integers(1, 4),
    on_limit=st.sampled_from(["end_oldest", "refuse"]),
)
def test_logins_side_by_side_agree_on_who_stays_in_every_order(order, ages, limit, on_limit):
    """Rows may be older than ones that were kept before them: clocks differ, and logins overtake each other."""
    alive, refused = _run_logins(order, ages, settings_with(max_sessions=limit, on_limit=on_limit))
    everybody = sorted((signed_in(number, age) for number, age in enumerate(ages)), key=lambda r: (r.created_at, r.id))
    ids = [row.id for row in everybody]
    assert alive == (ids[-limit:] if on_limit == "end_oldest" else ids[:limit])
    assert refused.isdisjoint(alive)


def test_the_orders_of_two_logins_for_one_place_are_all_right():
    """The smallest world, without chance: each order of two logins, either of them the older."""
    settings = settings_with(max_sessions=1, on_limit="refuse")
    for order in set(permutations([0, 0, 0, 1, 1, 1])):
        for ages in ([0, 1], [1, 0]):
            alive, refused = _run_logins(list(order), ages, settings)
            assert len(alive) == 1
            assert refused.isdisjoint(alive)


# --- scope, subject, text -------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-11", "ATP-06")
def test_granted_is_what_was_asked_for_and_is_held_and_all_that_is_held_where_nothing_was_asked():
    assert _admission.granted_scope(None, ALICE) == {"read", "write"}
    assert _admission.granted_scope("read", ALICE) == {"read"}
    assert _admission.granted_scope("read admin", ALICE) == {"read"}
    assert _admission.granted_scope("read", Principal(subject="user-7")) == frozenset()
    assert _admission.granted_scope(None, Principal(subject="user-7")) == frozenset()


@pytest.mark.ids("RT-11", "ATP-06")
@pytest.mark.parametrize(
    ("asked", "canonical"),
    [(None, None), ("", None), ("write read", "read write"), ("read read", "read"), ("read", "read")],
)
def test_a_scope_that_is_held_comes_back_in_canonical_form(asked, canonical):
    assert _admission.checked_scope(asked, ALICE.scopes) == canonical


@pytest.mark.ids("RT-11", "ATP-06", "ST-03")
@pytest.mark.parametrize(
    "asked",
    [
        "admin",
        "read admin",
        "read  write",
        " read",
        "read ",
        " ",
        "READ",
        "read\twrite",
        "read\n",
        "re\u00e4d",
        'a"b',
        "a\\b",
    ],
)
def test_a_scope_that_is_not_held_or_malformed_is_invalid(asked):
    held = ALICE.scopes | {'a"b', "a\\b", "re\u00e4d", ""}
    with pytest.raises(RequestError) as caught:
        _admission.checked_scope(asked, held)
    assert (caught.value.code, caught.value.status) == ("invalid_scope", 400)


@pytest.mark.ids("ATP-05")
@pytest.mark.parametrize(
    ("subject", "part"),
    [
        ("", "1 to 255"),
        ("x" * 256, "1 to 255"),
        (7, "1 to 255"),
        (None, "1 to 255"),
        ("user\n7", "printable"),
        ("user\x007", "printable"),
        ("\ud800", "printable"),
        ("shop-api", "client_id"),
        ("default", "client_id"),
    ],
)
def test_a_subject_that_cannot_be_one_is_named(subject, part):
    fault = _admission.subject_fault(Principal(subject=subject), frozenset({"shop-api"}))
    assert fault is not None
    assert part in fault


@pytest.mark.ids("ATP-05")
@pytest.mark.parametrize("subject", ["7", "x" * 255, "user-7", "Ünïcode", "shop-api "])
def test_other_subjects_are_fine(subject):
    assert _admission.subject_fault(Principal(subject=subject), frozenset({"shop-api"})) is None


@pytest.mark.ids("ST-03")
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (None, ""),
        ("", ""),
        ("Firefox", "Firefox"),
        ("a\r\nSet-Cookie: b", "aSet-Cookie: b"),
        ("\x1b[31mred\x7f", "[31mred"),
        ("\u202edlrow\u2028", "dlrow"),
        ("\ud800x", "x"),
        ("é" * 300, "é" * 255),
        ("\n" * 255 + "x", "x"),
    ],
)
def test_a_text_from_outside_is_bounded_and_cannot_forge_log_lines(text, kept):
    assert _admission.printable(text, 255) == kept


@pytest.mark.ids("ST-03")
@given(st.text())
def test_what_is_kept_of_any_text_is_printable_and_bounded(text):
    kept = _admission.printable(text, 20)
    assert len(kept) <= 20
    assert kept.isprintable()
    kept.encode()


def test_a_client_is_nobody_unless_told():
    assert Start(transport="cookie").client == Client()
