"""A MariaDB of the tests."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pymysql

from tests.support.programs import find_program

from ._database import DatabaseServer, Prepare

#: A line of the general log: "261123 13:00:00<tab>     7 Query<tab>SELECT 1", the time only where it changed.
_SAID = re.compile(r"^(?:\d{6} [ \d]\d:\d\d:\d\d)?\s+(?P<connection>\d+) (?P<kind>[A-Z][A-Za-z ]*?)\t(?P<text>.*)$")
_STATEMENTS = {"Query", "Execute"}
_SILENCE = "/* the end of what is asked for */"


class MariadbServer(DatabaseServer):
    """A MariaDB; its owner is `root`, who needs no password."""

    account_name = "mysql"
    usual_database = "mysql"
    stop_signal = signal.SIGTERM
    usual_options = {  # noqa: RUF012 - read only
        "max-connections": "300",
        "innodb-buffer-pool-size": "256M",
        "innodb-log-file-size": "256M",
        "innodb-flush-method": "nosync",  # the machine itself does not die in a test
        "skip-name-resolve": "1",
        "bind-address": "127.0.0.1",
    }

    def find_programs(self) -> dict[str, str]:
        return {name: find_program(name) for name in ("mariadb-install-db", "mariadbd")}

    def initialise(self, data: Path) -> None:
        self.account.run(
            self.programs["mariadb-install-db"], "--no-defaults", f"--datadir={data}", "--skip-test-db",
            "--auth-root-authentication-method=normal", "--innodb-log-file-size=16M",
        )  # fmt: skip

    def arguments(self) -> list[str]:
        return [
            self.programs["mariadbd"], "--no-defaults", f"--datadir={self.data}", f"--port={self.port}",
            f"--socket={self.folder}/socket", f"--pid-file={self.folder}/pid", f"--tmpdir={self.folder}",
            *(f"--{name}={value}" for name, value in self.options.items()),
        ]  # fmt: skip

    def database_url(self, name: str) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/{name}"

    def is_ready(self) -> bool:
        try:
            self._connect(self.usual_database).close()
        except pymysql.OperationalError:
            return False
        return True

    def execute(self, *statements: str, database: str | None = None) -> list[tuple[object, ...]]:
        connection = self._connect(database or self.usual_database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def new_database(self, prepare: Prepare | None = None) -> str:
        name = f"db{next(self._names)}"
        self.execute(f"CREATE DATABASE {name}")
        url = self.database_url(name)
        if prepare is not None:
            prepare(url)
        return url

    def drop_database(self, url: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]}")

    @contextmanager
    def statement_log(self, url: str) -> Iterator[list[str]]:
        """Give the statements that anybody sends within the block; the list is full at its end."""
        statements: list[str] = []
        log = self.folder / "general.log"
        self.execute(f"SET GLOBAL general_log_file = '{log}'", "SET GLOBAL general_log = ON")
        begun = log.stat().st_size
        try:
            yield statements
        finally:
            self.execute(f"SELECT 1 {_SILENCE}", "SET GLOBAL general_log = OFF")
            with log.open("rb") as written:
                written.seek(begun)
                statements += _statements(written.read().decode(errors="replace"))

    def _connect(self, database: str) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database, autocommit=True, connect_timeout=5,
            ssl_disabled=True,  # making ready for it takes 25 ms
        )  # fmt: skip


def _statements(text: str) -> list[str]:
    found: list[tuple[str, str]] = []
    goes_on = False
    for line in text.splitlines():
        if said := _SAID.match(line):
            goes_on = said["kind"] in _STATEMENTS
            if goes_on:
                found.append((said["connection"], said["text"]))
        elif goes_on:
            found[-1] = (found[-1][0], found[-1][1] + "\n" + line)
    ours = {connection for connection, text in found if _SILENCE in text}
    return [text for connection, text in found if connection not in ours]
