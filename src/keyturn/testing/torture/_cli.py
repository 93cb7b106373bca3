"""The command line: what is asked for, the passwords, the report, and the exit code."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from . import adapters
from ._adapter import Adapter, User
from ._facts import Rules
from ._faults import Mix, read_mix
from ._report import lines_of, report_of
from ._run import CannotRunError, Plan, run

HELD: Final = 0
BROKEN: Final = 1
COULD_NOT_RUN: Final = 2

_EXPLANATION: Final = """\
Lets a fleet of clients loose on a server that turns refresh tokens: honest ones, alone and in several tabs, sleepers,
and thieves with copies, behind a network that loses, doubles, holds and reorders messages. Sessions are ended in the
middle and watched. A judge then says from what was sent and answered whether the promises P1 to P7 held.

  printf '%s\\n' "$PASSWORD" | python -m keyturn.testing.torture http://127.0.0.1:8000 --user ada --report report.json
  python -m keyturn.testing.torture http://127.0.0.1:8000 --also http://127.0.0.1:8001 --user ada --user bob \\
      --clients 50 --seconds 600 --report report.json < passwords

Use a server of your own, set up for this, with accounts that nothing else uses: in the end everybody is signed out.
Passwords are asked for on a terminal; otherwise one line for each --user is read from standard input.
"""
_AFTERWARDS: Final = """\
exit codes: 0 the promises held, 1 one was broken, 2 usage, or nothing could be measured
"""


def main(arguments: Sequence[str]) -> int:
    """Run the torture; give the exit code.

    Args:
        arguments: what stands behind the program's name.
    """
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        adapter = adapters.find(asked.adapter, _options(asked.option))
        plan = _plan(asked, adapter)
        _check_report(asked.report)
    except (ValueError, OSError, adapters.UnknownAdapterError) as error:
        _complain(parser, error)
    try:
        figures = asyncio.run(run(plan, adapter, _tell))
    except CannotRunError as error:
        _complain(parser, error)
    except KeyboardInterrupt:
        _tell("interrupted; nothing is reported")
        return COULD_NOT_RUN
    report = report_of(figures, _settings(asked, plan, adapter), _versions())
    asked.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for line in lines_of(report):
        _tell(line)
    if not report["refreshes"]:
        _complain(parser, "not one refresh worked; nothing was measured")
    return HELD if report["held"] else BROKEN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m keyturn.testing.torture", description=_EXPLANATION, epilog=_AFTERWARDS,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    add = parser.add_argument
    add("url", metavar="URL", help="where the server is")
    add("--also", action="append", default=[], metavar="URL", help="another process over the same store; may repeat")
    add("--user", action="append", required=True, metavar="NAME", help="an account to sign in with; may repeat")
    add(
        "--clients",
        type=int,
        default=50,
        metavar="N",
        help="how many at once (50); at most 50 a user fit Keyturn's limit",
    )
    add("--seconds", type=float, default=60.0, metavar="S", help="how long (60); some seconds of settling follow")
    add("--report", type=Path, required=True, metavar="FILE", help="where the JSON report goes")
    add(
        "--adapter", default="keyturn", metavar="NAME", help=f"{', '.join(adapters.names())}, or module:Class (keyturn)"
    )
    add("--option", action="append", default=[], metavar="NAME=VALUE", help="for the adapter; may repeat")
    add("--faults", default="", metavar="LIST", help="changes the network, as drop-answer=0.2,copy=0; or none")
    add("--slack", type=float, default=1.0, metavar="S", help="seconds on top of the staleness bound (1)")
    add("--seed", default="keyturn", metavar="TEXT", help="the same seed makes the same plan")
    return parser


def _plan(asked: argparse.Namespace, adapter: Adapter) -> Plan:
    """Check what was asked, read the passwords, and give the plan.

    Raises:
        ValueError: something is missing or impossible; the text says what.
    """
    targets = [asked.url, *asked.also]
    for target in targets:
        if urlsplit(target).scheme not in {"http", "https"} or not urlsplit(target).hostname:
            raise ValueError(f"{target!r} is no URL; http://127.0.0.1:8000 is one")
    if len(set(asked.user)) != len(asked.user):
        raise ValueError("a user was given twice")
    if not len(asked.user) < asked.clients <= 1000:
        raise ValueError("--clients takes from one more than there are users to 1000")
    if not 1 <= asked.seconds <= 86_400:
        raise ValueError("--seconds takes from 1 to 86400")
    if not 0 <= asked.slack <= 60:
        raise ValueError("--slack takes from 0 to 60")
    mix = read_mix(asked.faults, Mix())
    passwords = _passwords(asked.user)
    users = [User(name=name, password=password) for name, password in zip(asked.user, passwords, strict=True)]
    return Plan(
        targets=targets, users=users, clients=asked.clients, seconds=asked.seconds, seed=asked.seed, mix=mix,
        rules=Rules(bound=adapter.bound, slack=asked.slack),
    )  # fmt: skip


def _check_report(report: Path) -> None:
    """Find out before the run, not after it, that there is no place for the report."""
    if report.is_dir() or not os.access(report if report.exists() else report.parent, os.W_OK):
        raise ValueError(f"{str(report)!r} is no file that can be written")


def _passwords(names: Sequence[str]) -> list[str]:
    if sys.stdin.isatty():
        return [getpass.getpass(f"Password of {name}: ") for name in names]
    read = [sys.stdin.readline() for _ in names]
    if not all(read):
        raise ValueError(
            f"standard input has {sum(map(bool, read))} of {len(names)} passwords: one line for each --user"
        )
    return [line.rstrip("\r\n") for line in read]


def _options(given: Sequence[str]) -> Mapping[str, str]:
    parts = [option.partition("=") for option in given]
    if any(not sign for _, sign, _ in parts):
        raise ValueError("--option takes NAME=VALUE")
    return {name: value for name, _, value in parts}


def _settings(asked: argparse.Namespace, plan: Plan, adapter: Adapter) -> dict[str, Any]:
    mix = {name: getattr(plan.mix, name) for name in plan.mix.__slots__}
    return {
        "url": asked.url, "also": asked.also, "users": len(plan.users), "clients": plan.clients, "seconds": plan.seconds,
        "seed": plan.seed, "adapter": adapter.name, "transports": list(adapter.transports), "faults": mix,
        "leeway_seconds": plan.rules.leeway, "bound_seconds": plan.rules.bound, "slack_seconds": plan.rules.slack,
    }  # fmt: skip


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in ("keyturn", "h11"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _complain(parser: argparse.ArgumentParser, error: object) -> NoReturn:
    parser.exit(COULD_NOT_RUN, f"torture: {error}\n")
