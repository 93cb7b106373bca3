"""The ``keyturn.toml`` that `keyturn init` writes: every setting, what it does, and what holds without it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

#: A file that may hold a database's password is its owner's alone.
MODE: Final = 0o600


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What is known of an installation when its file is written; what is left out stands there as an example.

    Args:
        issuer: where others reach the server.
        store: the address of the database.
        origins: pages of other origins that may sign in.
        trusted_proxies: whose ``X-Forwarded-…`` is believed.
    """

    issuer: str | None = None
    store: str | None = None
    origins: Sequence[str] = ()
    trusted_proxies: Sequence[str] = ()


def text_of(answers: Answers) -> str:
    """Give the file's text."""
    text = files("keyturn.server").joinpath("keyturn.toml").read_text(encoding="utf-8")
    lines = {
        "@issuer@": _line("issuer", answers.issuer, "http://127.0.0.1:8000"),
        "@store@": _line("store", answers.store, "sqlite:///keyturn.db"),
        "@origins@": _line("origins", list(answers.origins) or None, []),
        "@trusted_proxies@": _line("trusted_proxies", list(answers.trusted_proxies) or None, []),
    }
    for place, line in lines.items():
        text = text.replace(place, line)
    return text


def _line(name: str, value: object, otherwise: object) -> str:
    # A text in JSON is one in TOML, too, and so is a list of them.
    return f"# {name} = {json.dumps(otherwise)}" if value is None else f"{name} = {json.dumps(value)}"
