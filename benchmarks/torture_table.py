"""``python -m benchmarks.torture_table [NAME …]``: the same torture for Keyturn and three neighbours, in one table.

Each is started by its program in `peers/`, tortured, and stopped; one after another, since they share the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .measure import FULL
from .peers.environment import environment
from .peers.people import PASSWORD, user_names
from .peers.serving import program
from .postgresql import postgresql
from .report import ROOT, grid, setting

RESULTS = ROOT / "benchmarks" / "results"
#: The page of the documentation that shows the last full run, between these lines.
PAGE = ROOT / "docs" / "explanation" / "torture-results.md"
_BEGIN, _END = "<!-- written by make torture-table: begin -->", "<!-- end -->"
#: The page has words of its own for what stands above this in `torture.md`.
_HEAD_END = "torture-results.md`.\n"
#: As many as keep every user far below fifty sessions.
USERS = 10

Report = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One product.

    Args:
        label: its line in the table.
        adapter: how the torture speaks to it.
        start: runs it in a folder, and gives its addresses.
        settings: how it was set up, in words.
    """

    label: str
    adapter: str
    start: Callable[[Path], Any]
    settings: str


@contextmanager
def _keyturn(folder: Path) -> Iterator[list[str]]:
    """Run two processes over one database, so that an end is felt in the other one, too."""
    with postgresql(folder, "keyturn") as database:
        common = ["--users", str(USERS), "--database", database.url, "--keys", str(folder / "keys")]
        with program("benchmarks.peers.keyturn_site", *common) as (_, first):
            again = [*common, "--issuer-port", str(first)]
            with program("benchmarks.peers.keyturn_site", *again) as (_, second):
                yield [_address(first), _address(second)]


def _django(module: str, *more: str) -> Callable[[Path], Any]:
    @contextmanager
    def start(folder: Path) -> Iterator[list[str]]:
        with postgresql(folder, module) as database:
            arguments = ["--users", str(USERS), "--database", database.url, "--workers", "2", *more]
            with program(f"benchmarks.peers.{module}", *arguments) as (_, port):
                yield [_address(port)]

    return start


@contextmanager
def _oidc_provider(_folder: Path) -> Iterator[list[str]]:
    with program("benchmarks.peers.oidc_provider", "--users", str(USERS)) as (_, port):
        yield [_address(port)]


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


_TWO = "two gunicorn workers, PostgreSQL"
SIDES = {
    "keyturn": Side(
        label="Keyturn",
        adapter="keyturn",
        start=_keyturn,
        settings="as it comes; two uvicorn processes, PostgreSQL; cookie and body sessions",
    ),
    "simplejwt": Side(
        label="simplejwt",
        adapter="simplejwt",
        start=_django("simplejwt"),
        settings=f"ROTATE_REFRESH_TOKENS and BLACKLIST_AFTER_ROTATION on; {_TWO}",
    ),
    "toolkit": Side(
        label="django-oauth-toolkit",
        adapter="django-oauth-toolkit",
        start=_django("django_oauth_toolkit"),
        settings=f"ROTATE_REFRESH_TOKEN and REFRESH_TOKEN_REUSE_PROTECTION on, no grace period (as it comes); {_TWO}",
    ),
    "toolkit-grace": Side(
        label="django-oauth-toolkit, grace 10 s",
        adapter="django-oauth-toolkit",
        start=_django("django_oauth_toolkit", "--grace", "10"),
        settings=f"the same with REFRESH_TOKEN_GRACE_PERIOD_SECONDS = 10; {_TWO}",
    ),
    "oidc-provider": Side(
        label="oidc-provider",
        adapter="oidc-provider",
        start=_oidc_provider,
        settings="rotateRefreshToken on; one Node process, its state in memory",
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Torture what is asked for, and show the table."""
    asked = _parser().parse_args(arguments)
    names = [name for name in SIDES if not asked.names or name in asked.names]
    reports = {name: _tortured(SIDES[name], asked.clients, asked.seconds) for name in names}
    shown = as_markdown(reports, _where(asked.clients, asked.seconds))
    print(shown)
    # Half a picture does not take the place of the published one.
    folder: Path | None = asked.output or (None if asked.names else RESULTS)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "torture.md").write_text(shown, encoding="utf-8")
        (folder / "torture.json").write_text(json.dumps(reports, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if folder == RESULTS:
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), shown), encoding="utf-8")
    return 0


def with_tables(page: str, shown: str) -> str:
    """Give the page of the documentation with the tables of a run in their place."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the page has no place for the tables: {_BEGIN} … {_END}")
    return f"{before}{begin}\n\n{shown.partition(_HEAD_END)[2].strip()}\n\n{end}{after}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture_table", description=(__doc__ or "").strip())
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *SIDES], help=", ".join(SIDES))
    parser.add_argument("--clients", type=int, default=50, help="how many at once (50)")
    parser.add_argument("--seconds", type=float, default=60, help="how long each is tortured (60)")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="where torture.md and torture.json are written")
    return parser


def _tortured(side: Side, clients: int, seconds: float) -> Report:
    print(f"{side.label} …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="keyturn-torture-") as folder, side.start(Path(folder)) as addresses:
        file = Path(folder) / "report.json"
        command = [sys.executable, "-m", "keyturn.testing.torture", addresses[0], "--adapter", side.adapter]
        command += [part for other in addresses[1:] for part in ("--also", other)]
        command += [part for name in user_names(USERS) for part in ("--user", name)]
        command += ["--clients", str(clients), "--seconds", f"{seconds:g}", "--report", str(file)]
        done = subprocess.run(
            command, input=f"{PASSWORD}\n" * USERS, env=environment(), text=True, stdout=sys.stderr, check=False
        )
        if not file.exists() or not (written := file.read_text(encoding="utf-8")):
            raise SystemExit(f"{side.label} could not be tortured: exit code {done.returncode}")
        report: Report = json.loads(written)
        return report


def _where(clients: int, seconds: float) -> dict[str, str]:
    return {
        "torture": f"{clients} clients, {seconds:g} s each, seed and faults as they come",
        **{name: value for name, value in setting(FULL).items() if name != "effort"},
    }


def as_markdown(reports: Mapping[str, Report], where: Mapping[str, str]) -> str:
    """Give the tables as Markdown; `reports` by the names of the sides."""
    rows = [[SIDES[name].label, *_figures(report)] for name, report in reports.items()]
    promises = list(next(iter(reports.values()))["properties"])
    states = [
        [SIDES[name].label, *(_state(report["properties"][promise]) for promise in promises)]
        for name, report in reports.items()
    ]
    parts = [
        "# Torture of Keyturn and its neighbours",
        "Written by `make torture-table`. What the columns mean stands in `docs/explanation/torture-results.md`.",
        "\n".join(f"* {name}: {value}" for name, value in where.items()),
        grid(["", *_COLUMNS], rows),
        "Promises of Keyturn's protocol, broken of observed:",
        grid(["", *promises], states),
        "\n".join(f"* {SIDES[name].label}: {SIDES[name].settings}." for name in reports),
    ]
    return "\n\n".join(parts) + "\n"


_COLUMNS = (
    "refreshes", "honest clients signed out", "the same, tabs without a lock", "thefts found", "time to that (p50)",
    "alive after the end", "end felt (p50, p99)", "in the other process", "end never felt", "refresh (p50, p99)",
    "5xx",
)  # fmt: skip


def _figures(report: Report) -> list[str]:
    elsewhere = report["revocations"]["across"]
    return [
        f"{report['refreshes']:,}",
        _of(report["false_logouts"], report["properties"]["P3"]["observed"]),
        str(report["false_logouts_unlocked"]),
        _of(report["thefts_detected"], report["thefts"]),
        _ms(report["time_to_detection_ms"]["p50"]),
        str(report["resurrected"]),
        _span(report["revocation_latency_ms"]),
        _span(report["revocation_latency_across_ms"]) if elsewhere else "-",
        str(report["revocations"]["not_felt"]),
        _span(report["latency_ms"]),
        str(report["5xx"]),
    ]


def _state(told: Mapping[str, Any]) -> str:
    if told["state"] == "not observable":
        return "-"
    return _of(told["broken"], told["observed"]) if told["broken"] else f"held ({told['observed']:,})"


def _of(some: int, all_: int) -> str:
    return f"{some:,} of {all_:,}"


def _span(durations: Mapping[str, float | None]) -> str:
    return "-" if durations["p50"] is None else f"{_ms(durations['p50'])}, {_ms(durations['p99'])}"


def _ms(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
