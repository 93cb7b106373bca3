"""With a million sessions every statement of the store goes by an index, and touches only what it is about."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text

from keyturn._colour import drive
from keyturn.session import EndReason, Session
from keyturn.stores import Changes
from keyturn.stores.sqlalchemy import SqlAlchemyStore, upgrade
from keyturn.stores.sqlalchemy._statements import turn_row
from keyturn.stores.sqlalchemy.migrations._opening import address
from keyturn.testing._store_stage import turn_of
from tests.support.many_rows import FIRST_BUCKET, MONTHS, ROWS, USERS, fill

pytestmark = pytest.mark.timeout(300)  # the machine may be busy with something else
NOW = datetime(2030, 3, 14, tzinfo=UTC)
UNTIL = NOW + timedelta(hours=1)
LARGE = {"keyturn_session", "keyturn_revocation"}


@dataclass
class Full:
    """A database with a million sessions, and what is said to it."""

    server: Any
    url: str
    engine: Engine
    store: SqlAlchemyStore
    said: list[tuple[str, Any]] = field(default_factory=list)
    position: str = ""

    def user(self, number: int) -> list[Session]:
        return list(drive(self.store.find("shop", f"user {number}", now=datetime(2029, 1, 1, tzinfo=UTC))))

    def statements(self, verb: Any) -> list[tuple[str, Any]]:
        """Give what a verb says."""
        self.said.clear()
        drive(verb)
        return list(self.said)


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def full(request: pytest.FixtureRequest) -> Iterator[Full]:
    server = request.getfixturevalue(request.param)
    url = server.new_database(upgrade)
    fill(server, url)
    engine = create_engine(address(url))
    full = Full(server, url, engine, SqlAlchemyStore(engine))

    @event.listens_for(engine, "before_cursor_execute")
    def hear(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        full.said.append((statement, parameters))

    full.position = drive(full.store.revocations(None)).position
    yield full
    engine.dispose()
    server.drop_database(url)


def verbs(full: Full, nth: int) -> dict[str, Any]:
    """One call of each verb, about users of their own."""
    store, how = full.store, {"at": NOW, "reason": EndReason.LOGOUT, "until": UNTIL}
    one, several = full.user(100 * nth), full.user(100 * nth + 1)
    last = max(several, key=lambda session: session.id)
    step_up = Changes(floor=4, access_floor=4, until=UNTIL)
    return {
        "get": lambda: store.get(one[0].id),
        "advance": lambda: store.advance(turn_of(one[0], now=NOW - timedelta(days=1))),
        "step_up": lambda: store.advance(turn_of(one[1], now=NOW - timedelta(days=1), changes=step_up)),
        "recover": lambda: store.recover(one[2].id, generation=3, now=NOW),
        "find": lambda: store.find("shop", f"user {100 * nth}", now=NOW),
        "end": lambda: store.end([one[3].id, one[4].id], **how),
        "end_all": lambda: store.end_all("shop", f"user {100 * nth + 1}", keep=last.id, **how),
        "acknowledge": lambda: store.acknowledge({session.id: 9 for session in full.user(100 * nth + 2)}),
        "require": lambda: store.require({session.id: 9 for session in full.user(100 * nth + 3)}, until=UNTIL),
        "revocations": lambda: store.revocations(full.position),
        "purge": lambda: store.purge(NOW, limit=1000, after=None),
        "purge, further on": lambda: store.purge(NOW, limit=1000, after=last.id),
        "purgeable": lambda: store.purgeable(NOW, limit=1000, after=None),
        "purgeable, further on": lambda: store.purgeable(NOW, limit=1000, after=last.id),
    }


VERBS = (
    "get", "advance", "step_up", "recover", "find", "end", "end_all", "acknowledge", "require", "revocations", "purge",
    "purge, further on", "purgeable", "purgeable, further on",
)  # fmt: skip


@pytest.mark.ids("M20", "M34")
@pytest.mark.parametrize("verb", VERBS)
def test_every_statement_goes_by_an_index(full: Full, verb: str) -> None:
    said = full.statements(verbs(full, 1 + VERBS.index(verb))[verb]())
    assert said
    for statement, parameters in said:
        if statement.split()[0] in {"INSERT", "SELECT", "UPDATE", "DELETE", "WITH"}:
            assert whole_tables(full, statement, parameters) == [], statement


@pytest.mark.ids("M20")
def test_sixty_four_turns_at_once_go_by_an_index(full: Full) -> None:
    sessions = sorted((full.user(number)[0] for number in range(5000, 5064)), key=lambda session: session.id)
    turns = [turn_row(turn_of(session, now=NOW - timedelta(days=1)), raw_of(session)) for session in sessions]
    full.said.clear()
    with full.engine.begin() as connection:
        assert len(full.store._said.advance(connection, turns)) == 64
    ((statement, parameters),) = full.said
    assert whole_tables(full, statement, parameters) == []


@pytest.mark.ids("M20")
def test_a_realm_is_ended_along_its_index(full: Full) -> None:
    how = {"at": NOW, "reason": EndReason.LOGOUT, "until": UNTIL}
    said = [
        *full.statements(full.store.end_all("nobody's", None, **how)),
        # Of users that no other test is about.
        *full.statements(full.store.end_step("shop", limit=1000, after=after("user 5"), **how)),
        *full.statements(full.store.end_step("shop", limit=1000, after=after("user 99998"), **how)),
    ]
    full.position = drive(full.store.revocations(None)).position  # what comes after is not about these
    for statement, parameters in said:
        if statement.split()[0] not in {"START", "COMMIT"}:
            assert whole_tables(full, statement, parameters) == [], statement


@pytest.mark.ids("M20")
def test_a_step_through_a_realm_reads_the_rows_that_it_ends_and_few_more(full: Full) -> None:
    how = {"at": NOW, "reason": EndReason.LOGOUT, "until": UNTIL}
    before, cursor = rows_read(full), after("user 6")
    for _ in range(8):
        step = drive(full.store.end_step("shop", limit=100, after=cursor, **how))
        assert len(step.sessions) > 50, "other tests have ended a few"
        cursor = step.cursor
    assert (rows_read(full) - before) / 8 < 2500
    full.position = drive(full.store.revocations(None)).position  # what comes after is not about these


def after(subject: str) -> str:
    from keyturn.session import session_id_text

    return session_id_text(b"\xff" * 16) + subject


def raw_of(session: Session) -> bytes:
    from keyturn.session import session_id_bytes

    raw = session_id_bytes(session.id)
    assert raw is not None
    return raw


@pytest.mark.ids("M20", "M34")
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_reads_the_rows_it_is_about_and_few_more(full: Full, verb: str) -> None:
    """What the server counts, not what it plans; and plans that it keeps after the fifth time are among them."""
    acts = [verbs(full, 100 + 10 * VERBS.index(verb) + again)[verb] for again in range(8)]
    before = rows_read(full)
    for act in acts:
        drive(act())
    read = (rows_read(full) - before) / len(acts)
    assert read < (2500 if verb.startswith("purge") else 400)


@pytest.mark.ids("M34", "ST-04")
def test_a_purge_of_the_last_rows_is_no_more_work_than_of_the_first_and_takes_no_more_memory(full: Full) -> None:
    over = datetime(2031, 1, 1, tzinfo=UTC)
    cursor, read, peaks = None, [], []
    for step in range(40):
        if step == 20:  # almost at the end
            cursor = last_ids_cursor()
        before = rows_read(full)
        tracemalloc.start()
        purged = drive(full.store.purge(over, limit=1000, after=cursor))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        read.append(rows_read(full) - before)
        cursor = purged.cursor
        assert purged.count <= 1000
        assert cursor is not None
    # The first step drops the announcements that are over, too: some of the twenty thousand.
    assert max(read[1:]) < 5000
    assert max(peaks[1:]) < 2_000_000
    # What grows grows in every step; a single one may have been in the way of another thread's few kilobytes.
    assert median(peaks[-10:]) < 1.5 * median(peaks[1:11])


def last_ids_cursor() -> str:
    from keyturn.session import session_id_text

    return session_id_text((FIRST_BUCKET + MONTHS - 1).to_bytes(2, "big") + b"\x80" + bytes(13))


# --- what the servers say -------------------------------------------------------------------------------------------


def whole_tables(full: Full, statement: str, parameters: Any) -> list[str]:
    """Give the large tables that the server would read from end to end."""
    if full.engine.dialect.name == "postgresql":
        return [*_scans(_explained(full, f"EXPLAIN (FORMAT JSON) {statement}", parameters)[0][0][0]["Plan"])]
    plain = statement.partition(" RETURNING ")[0].partition("\nRETURNING ")[0]
    rows = _explained(full, f"EXPLAIN {plain}", parameters)
    aliases = {"s": "keyturn_session", "t": "", "<derived2>": ""}
    return [
        f"{row.table}: {row.type}"
        for row in rows
        if aliases.get(row.table, row.table) in LARGE and (row.type in {"ALL", "index"} or row.key is None)
        and not (row.type == "ALL" and row.select_type == "INSERT")
    ]  # fmt: skip


def _explained(full: Full, statement: str, parameters: Any) -> Any:
    with full.engine.connect() as connection:
        return connection.exec_driver_sql(statement, parameters).all()


def _scans(plan: dict[str, Any]) -> Iterator[str]:
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in LARGE:
        yield f"{plan['Relation Name']}: {plan['Node Type']}"
    for inner in plan.get("Plans", ()):
        yield from _scans(inner)


def rows_read(full: Full) -> int:
    """Give how many rows and index entries the server has read so far."""
    if full.engine.dialect.name == "postgresql":
        full.engine.dispose()  # servers tell their counts when they end, at the latest
        count = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE relname LIKE 'keyturn_%'"
        name = full.url.rpartition("/")[2]
        return int(full.server.execute(count, database=name)[0][0])
    counted = full.server.execute("SHOW GLOBAL STATUS LIKE 'Handler_read%'")
    return sum(int(value) for _, value in counted)


def test_there_are_a_million(full: Full) -> None:
    with full.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(DISTINCT bucket) FROM keyturn_session")) == MONTHS
    assert len(full.user(USERS - 1)) == ROWS // USERS
