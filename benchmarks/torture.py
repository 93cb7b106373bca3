"""``python -m benchmarks.torture [sqlite] [postgresql] [serve]``: Keyturn's own torture, two processes over one store each.

``serve`` is ``keyturn serve --workers 2`` on PostgreSQL, both workers behind one port. Writes the reports to
``benchmarks/results/torture-sqlite.json`` and so on. The exit code is the worst of the torture's own: 0 the promises
held, 1 one was broken, 2 nothing could be measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .peers.environment import environment
from .peers.people import PASSWORD, user_names
from .peers.serving import program
from .postgresql import postgresql
from .report import ROOT
from .served import keyturn_serve

RESULTS = ROOT / "benchmarks" / "results"
STORES = ("sqlite", "postgresql", "serve")
#: So that no user comes near the fifty sessions that one may have.
CLIENTS_PER_USER = 25


@contextmanager
def servers(store: str, folder: Path, users: int) -> Iterator[list[str]]:
    """Run two processes over one store, and give where they are; the fleet shares one address, so nobody is counted."""
    with ExitStack() as stack:
        if store == "serve":
            url = stack.enter_context(postgresql(folder, "keyturn")).url
            home = folder / "served"
            home.mkdir()
            _, port = stack.enter_context(keyturn_serve(home, store=url, workers=2, users=user_names(users)))
            yield [f"http://127.0.0.1:{port}"]
            return
        if store == "postgresql":
            database = stack.enter_context(postgresql(folder, "keyturn")).url
        else:
            database = f"sqlite:///{folder / 'keyturn.db'}"
        site = ["benchmarks.peers.keyturn_site", "--unthrottled", "--users", str(users), "--database", database]
        site += ["--keys", str(folder / "keys")]
        _, first = stack.enter_context(program(*site))
        _, second = stack.enter_context(program(*site, "--issuer-port", str(first)))
        yield [f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}"]


def tortured(store: str, told: argparse.Namespace) -> int:
    """Start, torture, stop; give the torture's exit code."""
    print(f"{store} …", file=sys.stderr, flush=True)
    users = user_names(-(-told.clients // CLIENTS_PER_USER))
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-torture-") as folder,
        servers(store, Path(folder), len(users)) as (url, *others),
    ):
        command = [sys.executable, "-m", "keyturn.testing.torture", url, "--seed", told.seed]
        command += [part for also in others for part in ("--also", also)]
        command += [part for name in users for part in ("--user", name)]
        command += ["--clients", str(told.clients), "--seconds", f"{told.seconds:g}"]
        command += ["--report", str(told.output / f"torture-{store}.json")]
        passwords = f"{PASSWORD}\n" * len(users)
        return subprocess.run(command, input=passwords, env=environment(), text=True, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Torture what is asked for; give the worst exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.torture", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("stores", nargs="*", metavar="STORE", choices=[[], *STORES], help=f"{', '.join(STORES)} (all)")
    parser.add_argument("--clients", type=int, default=50, help="how many at once (50)")
    parser.add_argument("--seconds", type=float, default=600, help="how long, each (600)")
    parser.add_argument("--seed", default="keyturn", help="the same seed makes the same plan")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FOLDER", help="where the reports are written")
    told = parser.parse_args(arguments)
    told.output.mkdir(parents=True, exist_ok=True)
    return max(tortured(store, told) for store in told.stores or STORES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
