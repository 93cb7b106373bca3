"""A folder with a keyturn.toml, the command line run in it, and the installation that it describes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from keyturn import Principal, Sessions, TokenPair
from keyturn.cli.commands import keyturn
from keyturn.server.config import load
from keyturn.server.installation import Installation
from keyturn.session import Client

KEYTURN = [sys.executable, "-W", "error", "-c", "from keyturn.cli import main; main()"]
#: Far longer than a busy machine needs: it only bounds a hang.
PATIENCE = 60
MEASURED = """
import resource, sys
from keyturn.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""
ISSUER = "https://id.example.org"


class Everybody:
    """Users without a database: whoever is asked for exists."""

    def authenticate(self, username: str, password: str, request: Any) -> Principal | None:
        return None

    def load(self, subject: str) -> Principal:
        return Principal(subject=subject)


class Home:
    """A configuration in a folder of its own.

    Args:
        folder: where.
        store: the address of the database; a SQLite file beside the configuration where left out.
    """

    def __init__(self, folder: Path, store: str = "sqlite:///keyturn.db", more: str = "") -> None:
        self.folder = folder
        self.file = folder / "keyturn.toml"
        self.file.write_text(f'[keyturn]\nissuer = "{ISSUER}"\n[server]\nstore = "{store}"\nworkers = 1\n{more}')

    @classmethod
    def at(cls, folder: Path) -> Home:
        """Give the home of a configuration that is there already."""
        home = cls.__new__(cls)
        home.folder, home.file = folder, folder / "keyturn.toml"
        return home

    def run(self, *words: str, typed: str | bytes | None = None, code: int | None = 0) -> Result:
        """Run a command in this process, with standard input that is no terminal; it must end with `code`."""
        result = CliRunner().invoke(
            keyturn, words, input="" if typed is None else typed, env={"KEYTURN_CONFIG": str(self.file)}
        )
        if code is not None:
            assert result.exit_code == code, result.output
        return result

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Run a command that prints JSON."""
        found: list[dict[str, Any]] = json.loads(self.run(*words, "--json").stdout)
        return found

    def process(self, *words: str, **how: Any) -> subprocess.Popen[str]:
        """Begin a command as a program of its own."""
        streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(
            [*KEYTURN, *words], cwd=self.folder, text=True, encoding="utf-8", env=self.environment, **streams | how
        )

    def peak(self, *words: str) -> tuple[int, int]:
        """Run a command as a program of its own; how many lines it printed, and the most memory it held, in KiB."""
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *words], env=self.environment, cwd=self.folder, capture_output=True,
            text=True, check=True, encoding="utf-8",
        )  # fmt: skip
        return done.stdout.count("\n"), int(done.stderr.split()[-1])

    @property
    def environment(self) -> dict[str, str]:
        """What a program of its own finds this configuration by."""
        return {**os.environ, "KEYTURN_CONFIG": str(self.file), "PYTHONIOENCODING": "utf-8"}

    @contextmanager
    def opened(self) -> Iterator[Installation]:
        """Open the installation, for code that blocks."""
        with Installation(load(self.file)) as installation:
            installation.prepare()
            yield installation

    @contextmanager
    def door(self) -> Iterator[Sessions]:
        """Open the sessions, with users that all exist."""
        with self.opened() as opened:
            yield Sessions(opened.config.settings, opened.store, opened.keys, users=Everybody())

    def sign_in(self, subject: str, **client: str) -> TokenPair:
        """Start a session with tokens in the body."""
        with self.door() as door:
            return door.start(Principal(subject=subject), client=Client(**client))
