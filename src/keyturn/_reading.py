"""From what files and environments can hold (texts, numbers, tables) to what settings hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Final, cast

from ._validation import DURATIONS, LISTS, SWITCHES, Unreadable, shown
from .errors import ConfigurationError
from .settings import SETTING_NAMES, CookieSettings, Settings

COOKIE_NAMES: Final = tuple(item.name for item in fields(CookieSettings))
_COOKIE_SWITCHES: Final = ("access_in_cookie", "partitioned")
#: Three centuries: beyond any duration here, and below what a timedelta can hold. NaN and infinity are not less.
_MOST_SECONDS: Final = 10**10
_DURATION: Final = re.compile(r"([0-9]{1,8}(?:\.[0-9]{1,6})?) ?([smhd]?)")
_UNITS: Final[Mapping[str, timedelta]] = {
    "": timedelta(seconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_YES: Final = frozenset({"true", "yes", "on", "1"})
_NO: Final = frozenset({"false", "no", "off", "0"})
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_WHOLE: Final = re.compile(r"-?[0-9]{1,9}")


def did_you_mean(name: str, known: Iterable[str], spelled: Callable[[str], str] = str) -> str:
    """Give `` (did you mean …?)`` where a known name is close, else nothing.

    Args:
        spelled: how the source writes a name.
    """
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {spelled(close[0])}?)" if close else ""


def shown_name(name: str) -> str:
    """Give a name as a fault may show it: bare where it is a plain word."""
    return name if _PLAIN.fullmatch(name) else shown(name)


def folded(values: Mapping[str, object], place: str) -> tuple[dict[str, object], list[str]]:
    """Give a table with its names in lower case, and a fault for each that is no text or given twice.

    Args:
        place: how a fault tells where the table stands; empty, or ending in a dot.
    """
    result: dict[str, object] = {}
    faults: list[str] = []
    for name, value in cast("Mapping[object, object]", values).items():
        if not isinstance(name, str):
            faults.append(f"{place}{shown(name)} is no name: names are texts")
        elif name.lower() in result:
            faults.append(f"{place}{shown_name(name.lower())} is given twice, in different case")
        else:
            result[name.lower()] = value
    return result, faults


def read_settings(values: Mapping[str, object], *, texts: bool) -> tuple[dict[str, Any], list[str]]:
    """Give what a table spells, ``cookie`` as a table of its own, and what is wrong with its names.

    A value that cannot be read becomes an `Unreadable`, which ``Settings`` tells among its own faults.

    Args:
        texts: every value comes as text, as in an environment: switches, numbers and lists are read from it too.
    """
    table, faults = _known(values, SETTING_NAMES, "")
    chosen = {name: _read(name, value, texts=texts) for name, value in table.items() if name != "cookie"}
    if "cookie" in table:
        cookie, more = _read_cookie(table["cookie"], texts=texts)
        return {**chosen, "cookie": cookie}, faults + more
    return chosen, faults


def _known(values: Mapping[str, object], names: tuple[str, ...], place: str) -> tuple[dict[str, object], list[str]]:
    table, faults = folded(values, place)
    faults += [
        f"{place}{shown_name(name)} is no setting{did_you_mean(name, names)}" for name in table if name not in names
    ]
    return {name: value for name, value in table.items() if name in names}, faults


def _read_cookie(value: object, *, texts: bool) -> tuple[dict[str, object], list[str]]:
    if isinstance(value, CookieSettings):
        return {name: getattr(value, name) for name in COOKIE_NAMES}, []
    if not isinstance(value, Mapping):
        return {}, ["cookie is not a table of cookie settings"]
    table, faults = _known(cast("Mapping[str, object]", value), COOKIE_NAMES, "cookie.")
    return {name: _read_in_cookie(name, value, texts=texts) for name, value in table.items()}, faults


def settings_of(chosen: Mapping[str, Any], faults: Iterable[str], told: Callable[[str], str]) -> Settings:
    """Build the settings from what `read_settings` gave.

    Args:
        faults: what was found so far; told together with the faults of the settings themselves.
        told: adds to a fault of the settings where its value came from.

    Raises:
        ConfigurationError: with all of them.
    """
    arguments: dict[str, Any] = {**chosen, "cookie": CookieSettings(**chosen.get("cookie", {}))}
    try:
        settings = Settings(**arguments)
    except ConfigurationError as error:
        raise ConfigurationError([*faults, *map(told, error.faults)]) from None
    if found := list(faults):
        raise ConfigurationError(found)
    return settings


def _read_in_cookie(name: str, value: object, *, texts: bool) -> Any:
    switch = texts and name in _COOKIE_SWITCHES and isinstance(value, str)
    return read_switch(f"cookie.{name}", value) if switch else value


def _read(name: str, value: object, *, texts: bool) -> Any:
    if name in DURATIONS:
        return read_duration(name, value)
    if not texts or not isinstance(value, str):
        return value
    if name in SWITCHES:
        return read_switch(name, value)
    if name in LISTS:
        return read_list(value)
    if name == "max_sessions":
        return int(value) if _WHOLE.fullmatch(value.strip()) else value
    return value


def read_duration(name: str, value: object) -> object:
    """Give a timedelta for ``"5m"``, ``90`` or a timedelta; an `Unreadable` for what is none of them."""
    if value is None or isinstance(value, timedelta):
        return value
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(match[1]) * _UNITS[match[2]]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST_SECONDS:
        return timedelta(seconds=value)
    return Unreadable(f"{name} is {shown(value)}: write a duration as 2s, 5m, 12h, 30d, or in seconds")


def read_switch(name: str, value: object) -> object:
    """Give True or False for a word that means it, an `Unreadable` for any other."""
    word = str(value).strip().lower()
    if word in _YES | _NO:
        return word in _YES
    return Unreadable(f"{name} is {shown(value)}: write true or false")


def read_list(value: str) -> tuple[str, ...]:
    """Give the items of ``a, b``; none for an empty text."""
    return tuple(item for part in value.split(",") if (item := part.strip()))
