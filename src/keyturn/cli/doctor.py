"""``keyturn doctor``: what is weak or broken, and what to do about it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

import click

from ..errors import ConfigurationError
from ..server.doctor import Finding, gather, judge, worst
from ..server.doctor.finding import broken
from ._common import ConfigFile, config_option, json_option, printable, show, table
from ._program import without_tokens

_HELP: Final = """Look whether everything is in order, and say what is weak or broken and what to do about it.

It signs and verifies with every key, seals and opens a refresh token, and looks at the files' modes, the database with
its version, clock and rights, the settings, proxies, origins and limits, accounts and clients. It changes nothing: no
folder, key or database is made. Run it as the user that the server runs as, after a change and before you go public.

\b
    ok        as it should be
    note      good to know
    weak      works, and should be better
    broken    does not work, or protects nobody

The exit code is 1 where something is broken; with --strict also where something is weak.

\b
    keyturn doctor
    keyturn doctor --strict --config /etc/keyturn/keyturn.toml
    keyturn doctor --json | jq -r '.[] | select(.level == "broken") | .what'
"""
_WIDTH: Final = 100
#: What is pasted is not broken: a command in backquotes, or a remedy that is nothing but one.
_COMMAND: Final = re.compile(r"`[^`]+`|(?<=-> )chmod .*")
#: Stands for a space that no line ends at; `printable` lets none through.
_NO_BREAK: Final = "\x00"
_COLUMNS: Final = ("level", "topic", "what", "remedy")


@click.command(help=_HELP, short_help="Say what is weak or broken, and what to do.")
@config_option
@json_option
@click.option("--strict", is_flag=True, help="Exit with 1 where something is weak, too.")
def doctor(config: ConfigFile, as_json: bool, strict: bool) -> None:  # noqa: FBT001 - click hands it by name
    """Tell the findings."""
    findings = _findings(config)
    if as_json:
        table(_COLUMNS, ((each.level, each.topic, each.what, each.remedy) for each in findings), as_json=True)
    else:
        _tell(findings)
    if worst(findings) in (("weak", "broken") if strict else ("broken",)):
        raise click.exceptions.Exit(1)


def _findings(config: ConfigFile) -> Sequence[Finding]:
    try:
        read = config.load()
    except ConfigurationError as error:
        return [broken("configuration", fault, "Nothing else was looked at.") for fault in error.faults]
    return list(judge(gather(read)))


def _tell(findings: Iterable[Finding]) -> None:
    counted = dict.fromkeys(("broken", "weak", "note", "ok"), 0)
    for each in findings:
        counted[each.level] += 1
        _say(f"{each.level:<8}{each.topic}: {each.what}")
        if each.remedy:
            _say(f"{'':8}-> {each.remedy}", hang=11)
    levels = ((count, "notes" if level == "note" and count != 1 else level) for level, count in counted.items())
    show(", ".join(f"{count} {word}" for count, word in levels) + ".")


def _say(text: str, hang: int = 8) -> None:
    whole = _COMMAND.sub(lambda found: found[0].replace(" ", _NO_BREAK), printable(without_tokens(text)))
    lines = textwrap.wrap(
        whole, _WIDTH, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False
    )  # fmt: skip
    show("\n".join(lines).replace(_NO_BREAK, " "))
