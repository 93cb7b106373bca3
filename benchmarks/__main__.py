"""``python -m benchmarks [NAME …] [--quick]``: measure, print the tables, and write them to ``results/``."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .measure import FULL, QUICK, TOUCH, Effort
from .report import Table, as_json, as_markdown, setting

#: In this order, each a module with `run`.
NAMES = (
    "access_token",
    "guarded_get",
    "refresh_sqlite",
    "refresh_postgresql",
    "start_up",
    "floors",
    "purge_sqlite",
    "purge_postgresql",
    "sign_in",
)
RESULTS = Path(__file__).parent / "results"
EFFORTS = {effort.name: effort for effort in (FULL, QUICK, TOUCH)}


def main(arguments: Sequence[str]) -> int:
    """Measure what is asked for."""
    asked = _parser().parse_args(arguments)
    names = [name for name in NAMES if not asked.names or name in asked.names]
    effort = EFFORTS[asked.effort]
    tables = [table for name in names for table in _run(name, effort)]
    where = setting(effort)
    print(as_markdown(tables, where))
    # Half a picture, or a hasty one, does not take the place of the published one.
    folder: Path | None = asked.output or (RESULTS if effort is FULL and not asked.names else None)
    if folder is not None:
        _write(folder, tables, where)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *NAMES], help=", ".join(NAMES))
    parser.add_argument(
        "--quick", dest="effort", action="store_const", const=QUICK.name, default=FULL.name, help="under two minutes"
    )
    parser.add_argument(
        "--touch",
        dest="effort",
        action="store_const",
        const=TOUCH.name,
        help="see that everything runs; no figure counts",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="where latest.md and latest.json are written")
    return parser


def _run(name: str, effort: Effort) -> list[Table]:
    began = time.monotonic()
    print(f"{name} …", file=sys.stderr, flush=True)
    tables: list[Table] = importlib.import_module(f".{name}", __package__).run(effort)
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return tables


def _write(folder: Path, tables: Sequence[Table], where: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.md").write_text(as_markdown(tables, where), encoding="utf-8")
    (folder / "latest.json").write_text(as_json(tables, where), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
