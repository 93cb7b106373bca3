"""A PostgreSQL of the tests."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.support.programs import find_program

from ._database import DatabaseServer, Prepare

#: What a statement looks like in the log, with our prefix: "2026-01-01 12:00:00.000 UTC [7] db1 LOG:  execute x: …".
_SAID = re.compile(r"^\S+ \S+ \S+ \[(?P<process>\d+)\] (?P<database>\S*) (?P<level>[A-Z]+):  (?P<text>.*)$")
_STATEMENT = re.compile(r"^(?:statement|execute [^:]*): ")


class PostgresqlServer(DatabaseServer):
    """A PostgreSQL; its owner is `postgres`, who needs no password."""

    account_name = "postgres"
    usual_database = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends connections, loses nothing
    usual_options = {  # noqa: RUF012 - read only
        "fsync": "off",  # the machine itself does not die in a test; kill -9 of the server loses nothing by it
        "max_connections": "300",
        "shared_buffers": "128MB",
        "dynamic_shared_memory_type": "mmap",  # in the data folder, so that nothing stays behind a kill
        "unix_socket_directories": "",
        "listen_addresses": "127.0.0.1",
        "log_line_prefix": "%m [%p] %d ",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }

    def find_programs(self) -> dict[str, str]:
        return {name: find_program(name) for name in ("initdb", "postgres")}

    def initialise(self, data: Path) -> None:
        self.account.run(
            self.programs["initdb"], "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
            "--no-sync", "--no-instructions",
        )  # fmt: skip

    def arguments(self) -> list[str]:
        options = [part for name, value in self.options.items() for part in ("-c", f"{name}={value}")]
        return [self.programs["postgres"], "-D", str(self.data), "-p", str(self.port), *options]

    def database_url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def is_ready(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, *statements: str, database: str | None = None) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        with psycopg.connect(self.database_url(database or self.usual_database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)  # type: ignore[call-overload]
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def new_database(self, prepare: Prepare | None = None) -> str:
        template = "template1" if prepare is None else self._template(prepare)
        name = f"db{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.database_url(name)

    def drop_database(self, url: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")

    @contextmanager
    def statement_log(self, url: str) -> Iterator[list[str]]:
        """Give the statements that connections made within the block send to a database; the list is full at its end."""
        name = urlsplit(url).path[1:]
        statements: list[str] = []
        self.execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
        begun = self.log.stat().st_size
        try:
            yield statements
        finally:
            self.execute(f"ALTER DATABASE {name} RESET log_statement")
            with self.log.open("rb") as log:
                log.seek(begun)
                statements += _statements(log.read().decode(errors="replace"), name)

    def _template(self, prepare: Prepare) -> str:
        if prepare not in self._templates:
            name = f"template_{len(self._templates)}"
            self.execute(f"CREATE DATABASE {name}")
            prepare(self.database_url(name))
            self._templates[prepare] = name
        return self._templates[prepare]


def _statements(text: str, database: str) -> list[str]:
    found: list[str] = []
    goes_on = False
    for line in text.splitlines():
        if said := _SAID.match(line):
            goes_on = said["level"] == "LOG" and said["database"] == database and bool(_STATEMENT.match(said["text"]))
            if goes_on:
                found.append(_STATEMENT.sub("", said["text"]))
        elif goes_on:
            found[-1] += "\n" + line.removeprefix("\t")
    return found
