"""kill -9 of the database, and failing over to another one, in a storm of refreshes.

The application is not started again: it finds its database by itself, and clients find nothing worse than 503.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyturn.stores.sqlalchemy.migrations import upgrade
from tests.failure.conftest import PATIENCE, Program, Server, serving
from tests.failure.storm import NOT_NOW, Storm
from tests.support.servers import DatabaseServer, MariadbServer, PostgresqlServer
from tests.support.tcp_proxy import TcpProxy

#: Written from memory every ten seconds at most, and nothing waits for it: what a kill takes away is seconds long.
FORGETFUL = {"synchronous_commit": "off", "wal_writer_delay": "10s", "wal_buffers": "64MB", "autovacuum": "off"}


@contextmanager
def database(kind: str) -> Iterator[DatabaseServer]:
    with PostgresqlServer() if kind == "postgresql" else MariadbServer() as server:
        yield server


@pytest.mark.ids("ST-05", "M07", "M01")
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_every_client_goes_on_after_the_database_is_killed_in_a_storm_and_no_token_works_twice(
    tmp_path: Path, kind: str
) -> None:
    with (
        database(kind) as behind,
        serving(tmp_path, behind.new_database(upgrade)) as server,
        Storm(server.port) as storm,
    ):
        for _ in range(2):
            storm.go_on_until_all_turned()
            behind.stop("kill")
            time.sleep(0.3)  # long enough for everybody to be told
            behind.start()
        storm.go_on_until_all_turned()
        storm.stop()
        assert storm.codes == {NOT_NOW}
        assert sum(storm.lost) == 0, "the application itself answers all the time"
        storm.check_that_all_go_on()
        storm.check_that_spent_tokens_are_known()
        assert server.told("StoreWentBack") == 0, "an answered turn was lost"


@pytest.mark.ids("M25", "P1")
def test_clients_that_are_ahead_of_a_database_that_lost_writes_go_on_and_it_is_told(tmp_path: Path) -> None:
    """`synchronous_commit = off`: fast, and after a kill the last moments are gone. Sign-ins among them are gone too."""
    with (
        PostgresqlServer(FORGETFUL) as behind,
        serving(tmp_path, url := behind.new_database(upgrade)) as server,
        Storm(server.port) as storm,
    ):
        storm.go_on_until_all_turned()
        behind.execute("CHECKPOINT")
        storm.go_on_until_all_turned(6)
        late = Program(server.port, "late")
        late.sign_in()
        behind.restart("kill")
        storm.go_on_until_all_turned()
        storm.stop()
        assert storm.codes <= {NOT_NOW}
        assert server.told("StoreWentBack") >= 4, "nothing was lost: the test shows nothing"
        assert server.told("ReuseDetected") == 0, "somebody was accused"
        storm.check_that_all_go_on()
        storm.check_that_spent_tokens_are_known()
        # The server may write on before its time: what it remembers of the last sign-in decides what is right.
        asked = "SELECT count(*) FROM keyturn_session WHERE subject = 'late'"
        [[is_there]] = behind.execute(asked, database=url.rpartition("/")[2])
        assert late.refresh() == (200 if is_there else 401)
        assert late.codes == ([] if is_there else [(401, "session_ended")])


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_every_client_goes_on_while_the_database_is_restarted_under_load(tmp_path: Path, kind: str) -> None:
    with (
        database(kind) as behind,
        serving(tmp_path, behind.new_database(upgrade)) as server,
        Storm(server.port) as storm,
    ):
        for _ in range(2):
            storm.go_on_until_all_turned()
            behind.restart("fast")
        storm.go_on_until_all_turned()
        storm.stop()
        assert storm.codes <= {NOT_NOW}
        assert sum(storm.lost) == 0
        storm.check_that_all_go_on()
        storm.check_that_spent_tokens_are_known()


# --- failing over -------------------------------------------------------------------------------------------------


class Standby(PostgresqlServer):
    """A copy of another server that follows it until it is promoted."""

    def __init__(self, primary: PostgresqlServer) -> None:
        self._primary = primary
        super().__init__({"hot_standby": "on"})

    def _fill(self) -> None:
        program = str(Path(self.programs["initdb"]).resolve().with_name("pg_basebackup"))
        self.account.own(self.folder)
        self.account.run(
            program, "-D", str(self.data), "-R", "-X", "stream", "-c", "fast", "-h", "127.0.0.1",
            "-p", str(self._primary.port), "-U", "postgres", "--no-sync",
        )  # fmt: skip

    def has_followed(self) -> bool:
        position = self._primary.execute("SELECT pg_current_wal_lsn()::text")[0][0]
        return bool(self.execute(f"SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn")[0][0])

    def stop_following(self) -> None:
        self.execute("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        wait_for(lambda: self.execute("SELECT count(*) FROM pg_stat_wal_receiver")[0][0] == 0)

    def promote(self) -> None:
        self.execute("SELECT pg_promote()")


def wait_for(condition: object) -> None:
    patience = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < patience
        time.sleep(0.02)


@contextmanager
def pair(folder: Path) -> Iterator[tuple[PostgresqlServer, Standby, TcpProxy, Server]]:
    """A primary with a standby, and a server that reaches whichever the proxy leads to."""
    with PostgresqlServer({"wal_level": "replica"}) as primary:
        url = primary.new_database(upgrade)
        with Standby(primary) as standby, TcpProxy(primary.port) as proxy:
            through = url.replace(f":{primary.port}/", f":{proxy.port}/")
            with serving(folder, through) as server:
                yield primary, standby, proxy, server


def fail_over(primary: PostgresqlServer, standby: Standby, proxy: TcpProxy) -> None:
    """The primary dies while statements are on their way; their answers never come, and the standby takes its place."""
    proxy.lose_the_next_answer()
    wait_for(lambda: proxy.lost_answers)
    primary.stop("kill")
    proxy.target = standby.port
    proxy.cut()
    time.sleep(0.1)  # for a moment there is only a database that may be read
    standby.promote()


@pytest.mark.ids("ST-05", "M25")
def test_every_client_goes_on_after_failing_over_in_mid_statement_to_a_standby_that_had_followed(
    tmp_path: Path,
) -> None:
    with pair(tmp_path) as (primary, standby, proxy, server), Storm(server.port) as storm:
        storm.go_on_until_all_turned()
        wait_for(standby.has_followed)
        fail_over(primary, standby, proxy)
        storm.go_on_until_all_turned()
        storm.stop()
        assert storm.codes <= {NOT_NOW}
        assert server.told("ReuseDetected") == 0
        storm.check_that_all_go_on()
        storm.check_that_spent_tokens_are_known()


@pytest.mark.ids("ST-05", "M25", "P1")
def test_every_client_goes_on_after_failing_over_to_a_standby_that_lagged_behind_and_it_is_told(tmp_path: Path) -> None:
    with pair(tmp_path) as (primary, standby, proxy, server), Storm(server.port) as storm:
        storm.go_on_until_all_turned()
        wait_for(standby.has_followed)
        standby.stop_following()
        storm.go_on_until_all_turned(6)
        fail_over(primary, standby, proxy)
        storm.go_on_until_all_turned()
        storm.stop()
        assert storm.codes <= {NOT_NOW}
        assert server.told("StoreWentBack") >= len(storm.programs) - 1
        assert server.told("ReuseDetected") == 0
        storm.check_that_all_go_on()
        storm.check_that_spent_tokens_are_known()
