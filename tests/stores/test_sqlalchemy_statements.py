"""What PostgreSQL hears: how many statements, how many turns on the network, which plans, and never a value in them."""

import ast
import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import ClauseElement, Executable
from sqlalchemy.dialects.postgresql import psycopg as dialect

from keyturn import stores
from keyturn._colour import drive
from keyturn.session import EndReason
from keyturn.stores import Changes
from keyturn.stores.sqlalchemy import _common, _postgresql, _side, upgrade
from keyturn.testing._store_rows import HOSTILE
from keyturn.testing._store_stage import NOW, REALM, SECOND, SUBJECT, UNTIL, Stage, turn_of
from tests.support.servers.proxy import Proxy

PACKAGE = Path(_postgresql.__file__).parent
HOW = {"at": NOW, "reason": EndReason.LOGOUT, "until": UNTIL}


@pytest.fixture
def url(postgresql):
    return postgresql.new_database(upgrade)


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    # On a machine that stands still for a second, a flight's next connection would have to prepare its statement anew.
    monkeypatch.setattr(_side, "_REST", 60.0)


#: How a verb is called, and how many statements and turns on the network that takes.
VERBS = {
    "add": (lambda stage, session: stage.store.add(stage.session()), 1),
    "get": (lambda stage, session: stage.store.get(session.id), 1),
    "advance": (lambda stage, session: stage.store.advance(turn_of(session)), 1),
    "advance in vain": (lambda stage, session: stage.store.advance(turn_of(session, generation=7)), 1),
    "step up": (
        lambda stage, session: stage.store.advance(
            turn_of(session, changes=Changes(floor=1, access_floor=1, until=UNTIL))
        ),
        1,
    ),
    "recover": (lambda stage, session: stage.store.recover(session.id, generation=0, now=NOW), 1),
    "find": (lambda stage, session: stage.store.find(REALM, SUBJECT, now=NOW), 1),
    "end": (lambda stage, session: stage.store.end([session.id], **HOW), 1),
    "end all of a user": (lambda stage, session: stage.store.end_all(REALM, SUBJECT, **HOW), 1),
    "end all of a realm": (lambda stage, session: stage.store.end_all(REALM, None, **HOW), 2),
    "end a step of a realm": (lambda stage, session: stage.store.end_step(REALM, limit=10, **HOW), 2),
    "acknowledge": (lambda stage, session: stage.store.acknowledge({session.id: 1}), 1),
    "require": (lambda stage, session: stage.store.require({session.id: 1}, until=UNTIL), 1),
    "revocations": (lambda stage, session: stage.store.revocations(None), 1),
    "purge": (lambda stage, session: stage.store.purge(NOW, limit=10), 3),
    "purgeable": (lambda stage, session: stage.store.purgeable(NOW, limit=10), 2),
}


def warmed_up(stage, ask):
    """Give what asks a verb on a new session, once the driver has prepared the statement and knows the types."""

    async def warm():
        for _ in range(7):  # psycopg prepares what it has said five times
            await ask(stage, await stage.add())
        return await stage.add()

    return warm()


@pytest.mark.ids("M20")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("driver", ["sync", "asyncpg", "psycopg"])
def test_a_verb_takes_one_turn_on_the_network_for_each_statement(url, driver, verb):
    ask, turns = VERBS[verb]
    with Proxy(url) as proxy:
        there = proxy.through(url)

        async def play(store, colour):
            stage = Stage(store, colour)
            session = await warmed_up(stage, ask)
            with proxy.counting() as counted:
                await ask(stage, session)
            return counted.count

        if driver == "sync":
            with stores.open(there) as store:
                assert drive(play(store, "sync")) == turns
        else:
            store = stores.open(there.replace("postgresql", f"postgresql+{driver}"), colour="async")
            assert asyncio.run(play(store, "async")) == turns


@pytest.mark.ids("M20")
@pytest.mark.parametrize("driver", ["sync", "asyncpg", "psycopg"])
def test_a_refresh_is_one_line_in_the_servers_log_of_statements(postgresql, url, driver):
    async def play(store, colour):
        session = await Stage(store, colour).add()
        for generation in range(10):
            await store.advance(turn_of(session, generation=generation, to=generation + 1))

    with postgresql.statement_log(url) as statements:
        if driver == "sync":
            with stores.open(url) as store:
                drive(play(store, "sync"))
        else:
            asyncio.run(play(stores.open(url.replace("postgresql", f"postgresql+{driver}"), colour="async"), "async"))
    turned = [statement for statement in statements if "UPDATE keyturn_session" in statement]
    first, last = statements.index(turned[0]), len(statements) - statements[::-1].index(turned[-1])
    assert len(turned) == 10
    assert statements[first:last] == turned  # and nothing in between: not a word of beginning or committing
    assert len([statement for statement in statements if "keyturn_" in statement]) == 12  # the tables' version, INSERT


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_turns_that_come_together_are_one_line_and_one_turn_on_the_network(postgresql, url, driver):
    with Proxy(url) as proxy:

        async def play():
            store = stores.open(proxy.through(url).replace("postgresql", f"postgresql+{driver}"), colour="async")
            stage = Stage(store, "async")
            sessions = [await stage.add() for _ in range(64)]
            for generation in range(7):
                turns = [turn_of(session, generation=generation, to=generation + 1) for session in sessions]
                with proxy.counting() as counted:
                    rows = await asyncio.gather(*map(store.advance, turns))
                assert [row.id for row in rows] == [session.id for session in sessions]
            return counted.count

        with postgresql.statement_log(url) as statements:
            assert asyncio.run(play()) == 1
    assert len([statement for statement in statements if "UPDATE keyturn_session" in statement]) == 7


@pytest.mark.ids("ST-02")
def test_no_text_of_a_statement_is_made_where_a_value_could_get_into_it():
    """Every f-string, concatenation and `text(…)` that makes SQL stands at the top of a module or in a spelling function.

    Methods, which see values, only hand them over as parameters.
    """
    for file in (PACKAGE / "_postgresql.py", PACKAGE / "_common.py", PACKAGE / "_directly.py"):
        tree = ast.parse(file.read_text())
        for cls in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            for method in (node for node in cls.body if isinstance(node, ast.FunctionDef)):
                made = [type(node).__name__ for node in ast.walk(method) if isinstance(node, ast.JoinedStr | ast.Mod)]
                named = [node.id for node in ast.walk(method) if isinstance(node, ast.Name)]
                assert not made, f"{file.name}: {method.name}"
                assert not {"text", "literal", "literal_column", "_said"} & set(named), f"{file.name}: {method.name}"


@pytest.mark.ids("ST-02")
def test_every_statement_has_a_parameter_for_every_value():
    said = [value for module in (_postgresql, _common) for value in vars(module).values()]
    statements = [value for value in said if isinstance(value, Executable) and isinstance(value, ClauseElement)]
    assert len(statements) >= 15
    for statement in statements:
        words = str(statement.compile(dialect=dialect.dialect()))
        # The only literals: flags of ours and what an end leaves of a user agent.
        literals = {word for word in words.replace("(", " ").replace(",", " ").split() if word.startswith("'")}
        assert literals <= {"''"}, words


@pytest.mark.ids("ST-02")
@pytest.mark.parametrize("driver", ["sync", "asyncpg", "psycopg"])
def test_hostile_values_reach_the_server_as_values_only(postgresql, url, driver):
    texts = [text for text in HOSTILE if "\0" not in text and "\ud800" not in text]

    async def play(store, colour):
        stage = Stage(store, colour)
        for text in texts:
            session = await stage.add(subject=text[:255], user_agent=text)
            await store.find(text, text, now=NOW)
            await store.advance(turn_of(session, client_id=text))
            await store.end_all(text, text, **HOW)

    with postgresql.statement_log(url) as statements:
        if driver == "sync":
            with stores.open(url) as store:
                drive(play(store, "sync"))
        else:
            asyncio.run(play(stores.open(url.replace("postgresql", f"postgresql+{driver}"), colour="async"), "async"))
    assert statements
    for statement in statements:
        assert "DROP TABLE" not in statement
        assert "xxxxxxxx" not in statement


def plan(connection, statement, **values):
    compiled = statement.compile(dialect=dialect.dialect())
    rows = connection.execute(f"EXPLAIN {compiled}", {**compiled.params, **values}).fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.fixture(scope="module")
def crowded(postgresql):
    """A database with thirty thousand sessions; `test_plans.py` has a million."""
    url = postgresql.new_database(upgrade)
    postgresql.execute(
        """
        INSERT INTO keyturn_session
        SELECT 300 + n % 3, int2send((300 + n % 3)::int2) || int8send(n) || '\\x000000000000'::bytea, 'shop',
            'user ' || n / 3, 'default', 'cookie', true, sha256(int8send(n)), NULL, 0, 0, 0, 0, 0, NULL, 0, 0, '[]', 0,
            4000000000000000, 4000000000000000, NULL, NULL, NULL, '{}', '', '', ''
        FROM generate_series(1, 30000) AS n
        """,
        "VACUUM ANALYZE",
        database=urlsplit(url).path[1:],
    )
    return url


@pytest.mark.ids("M20")
@pytest.mark.parametrize("count", [1, 2, 64])
def test_a_flight_takes_its_locks_in_the_order_of_ids(crowded, count):
    raws = [(300).to_bytes(2, "big") + (3 * n).to_bytes(8, "big") + bytes(6) for n in range(1, count + 1)]
    turn = {
        "bucket": 300, "realm": "shop", "transport": "cookie", "client_id": None, "seed_digest": bytes(32),
        "binding": None, "generation": 0, "to": 1, "now": 1, "turned_before": None, "idle_remember": 2,
        "idle_session": 2,
    }  # fmt: skip
    with psycopg.connect(crowded, autocommit=True) as connection:
        for mode in ("force_custom_plan", "force_generic_plan"):
            connection.execute(f"SET plan_cache_mode = {mode}")
            if count == 1:
                found = plan(connection, _postgresql._ADVANCE, **turn, raw=raws[0])
            else:
                lists = {name: [value] * count for name, value in turn.items()}
                found = plan(connection, _postgresql._ADVANCE_SEVERAL, **lists, id=raws)
                assert "Nested Loop" in found  # one after the other, as they come; a hash join would be in no order
            assert "Index Scan using keyturn_session_pkey" in found
            assert "Seq Scan" not in found


@pytest.mark.ids("M20")
def test_refreshes_touch_no_index_and_stay_on_their_page(postgresql, url):
    name = urlsplit(url).path[1:]
    with stores.open(url) as store:
        stage = Stage(store, "sync")
        session = drive(stage.add())
        for generation in range(200):
            now = NOW + generation * SECOND
            turn = turn_of(session, generation=generation, to=generation + 1, now=now, idle_remember=UNTIL)
            assert drive(store.advance(turn)) is not None
            drive(store.acknowledge({session.id: generation + 1}))
    statistics = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'keyturn_session'"
    updated, hot = postgresql.execute(statistics, database=name)[0]
    assert updated == 400
    assert hot >= 0.95 * updated
    assert postgresql.execute("SELECT pg_relation_size('keyturn_session')", database=name)[0][0] <= 2 * 8192
