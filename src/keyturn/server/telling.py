"""How an exchange is told: what matters of it, in lines, and never a whole secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from .wire import Exchange, name_and_value

#: Fields of bodies that are never shown whole.
_SECRETS: Final = frozenset({"access_token", "refresh_token"})


class Teller(Protocol):
    """Somebody who tells the story."""

    def chapter(self, number: int, title: str, why: str, when: str) -> None:
        """Begin a step."""
        ...

    def aside(self, text: str) -> None:
        """Say a sentence."""
        ...

    def request(self, lines: Sequence[str]) -> None:
        """Show a request: its first line, then its headers and body."""
        ...

    def answer(self, lines: Sequence[str], *, good: bool) -> None:
        """Show an answer: its first line, then what matters of it."""
        ...

    def event(self, lines: Sequence[str]) -> None:
        """Show an event that the application's listeners were told."""
        ...

    def holds(self, text: str) -> None:
        """Say what was checked, and held."""
        ...


def short(secret: str) -> str:
    """Give the ends of a secret: enough to tell two apart, far too little to use one."""
    return f"{secret[:4]}…{secret[-4:]}" if len(secret) > 16 else "…"


def request_lines(exchange: Exchange) -> Iterator[str]:
    """Give a request's lines."""
    yield f"{exchange.method} {exchange.path}"
    for name, value in exchange.headers.items():
        yield f"{name}: {_short_header(name, value)}"
    if exchange.body is not None:
        yield _short_json(exchange.body, tuple(exchange.body))


def answer_lines(exchange: Exchange, matters: Sequence[str]) -> Iterator[str]:
    """Give an answer's lines.

    Args:
        matters: the fields of its body that are shown; of an error always code and detail.
    """
    yield f"{exchange.status} {exchange.reason}"
    for line in exchange.set_cookies:
        yield f"Set-Cookie: {_short_cookie(line)}"
    wanted = ("code", "detail") if exchange.code else matters
    for row in exchange.answer.get("sessions", ()):
        yield _short_json(row, wanted)
    if "sessions" not in exchange.answer and any(name in exchange.answer for name in wanted):
        yield _short_json(exchange.answer, wanted)


def _short_header(name: str, value: str) -> str:
    if name == "Authorization":
        scheme, _, token = value.partition(" ")
        return f"{scheme} {short(token)}"
    if name == "Cookie":
        pairs = (pair.partition("=") for pair in value.split("; "))
        return "; ".join(f"{key}={short(secret)}" for key, _, secret in pairs)
    return value


def _short_cookie(line: str) -> str:
    name, value = name_and_value(line)
    attributes = line.partition(";")[2].strip()
    return f"{name}={short(value) if value else ''}; {attributes}"


def _short_json(value: Mapping[str, Any], wanted: Sequence[str]) -> str:
    shown = {name: _short_value(name, value[name]) for name in wanted if name in value}
    return json.dumps(shown, ensure_ascii=False)


def _short_value(name: str, value: Any) -> Any:
    if name == "password":
        return "…"
    return short(str(value)) if name in _SECRETS else value
