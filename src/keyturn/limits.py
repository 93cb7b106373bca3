"""How often is too often: the limits of sign-in and refresh, as one frozen value.

``Limits(login_per_user="50/hour", refresh_per_session="")``: what is left out is as ever, an empty text turns one off.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, Self

from ._validation import shown
from .errors import ConfigurationError

_UNITS: Final[Mapping[str, timedelta]] = MappingProxyType(
    {
        "second": timedelta(seconds=1),
        "minute": timedelta(minutes=1),
        "hour": timedelta(hours=1),
        "day": timedelta(days=1),
    }
)
_SPELLED: Final = re.compile(rf"([0-9]{{1,7}}) ?/ ?({'|'.join(_UNITS)})")
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """So many in so long: `count` at once, then one more every `period` / `count`.

    Args:
        count: at least 1.
        period: at least one microsecond for each.

    Besides, it tells ``interval`` and ``span``: after how many microseconds one is forgotten, and all of them are.
    """

    count: int
    period: timedelta
    interval: int = field(init=False, repr=False, compare=False)
    span: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        interval = self.period // _MICROSECOND // self.count if self.count >= 1 else 0
        if interval < 1:
            raise ConfigurationError(["a limit must let at least one through, and at most one a microsecond"])
        object.__setattr__(self, "interval", interval)
        object.__setattr__(self, "span", interval * self.count)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Give what ``"10/minute"`` spells; the units are second, minute, hour and day.

        Raises:
            ConfigurationError: it spells nothing.
        """
        match = _SPELLED.fullmatch(text.strip())
        if match is None or int(match[1]) == 0:
            raise ConfigurationError(
                [f'{shown(text)} is no limit: write "10/minute" or "100/hour", or "" to turn it off']
            )
        return cls(count=int(match[1]), period=_UNITS[match[2]])


@dataclass(frozen=True, kw_only=True, slots=True, init=False)
class Limits:
    """The limits of sign-in and refresh; of logins only failures count.

    Args:
        login_per_user_and_address: failures of one user name from one address.
        login_per_user: failures of one user name, wherever they come from; a browser whose binding cookie has signed
            this user in has its own count.
        login_per_address: failures from one address (of IPv6, from one /64 network), whoever is meant.
        refresh_per_session: refreshes of one session, counted after the token was found genuine.
        refresh_per_address: refreshes from one address; off, since behind a proxy all users may be one address.

    Each is a text such as ``"10/minute"``, a `Limit`, or ``""`` to turn it off.

    Raises:
        ConfigurationError: with every fault that was found.
    """

    login_per_user_and_address: Limit | None
    login_per_user: Limit | None
    login_per_address: Limit | None
    refresh_per_session: Limit | None
    refresh_per_address: Limit | None

    def __init__(
        self,
        *,
        login_per_user_and_address: str | Limit | None = "10/minute",
        login_per_user: str | Limit | None = "100/hour",
        login_per_address: str | Limit | None = "100/minute",
        refresh_per_session: str | Limit | None = "60/minute",
        refresh_per_address: str | Limit | None = "",
    ) -> None:
        given: dict[str, Any] = dict(locals())
        del given["self"]
        faults: list[str] = []
        for name, value in given.items():
            object.__setattr__(self, name, _read(name, value, faults))
        if faults:
            raise ConfigurationError(faults)

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Limits:
        """Give the limits that a mapping spells, such as the ``[throttle]`` table of ``keyturn.toml``.

        Raises:
            ConfigurationError: with every fault that was found, unknown names among them.
        """
        from ._loading import limits_from_mapping

        return limits_from_mapping(values)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], *, environment: Mapping[str, str] | None = None) -> Limits:
        """Give the limits of a file's ``[throttle]`` table; what the environment says goes before it.

        Args:
            path: a TOML file, mostly ``keyturn.toml``.
            environment: the process's own where left out; ``{}`` for the file alone.

        Raises:
            ConfigurationError: with every fault that was found, in the file's other tables too.
        """
        from ._loading import load_configuration

        return load_configuration(path, environment=environment).limits

    def __repr__(self) -> str:
        told = (f"{name}={_spelled(getattr(self, name))!r}" for name in LIMIT_NAMES)
        return f"Limits({', '.join(told)})"


LIMIT_NAMES: Final = tuple(item.name for item in fields(Limits))


def _read(name: str, value: object, faults: list[str]) -> Limit | None:
    if value is None or isinstance(value, Limit):
        return value
    if not isinstance(value, str):
        faults.append(f'{name} is {shown(value)}: write "10/minute" or "100/hour", or "" to turn it off')
        return None
    if not value.strip():
        return None
    try:
        return Limit.parse(value)
    except ConfigurationError as error:
        faults += [f"{name}: {fault}" for fault in error.faults]
        return None


def _spelled(limit: Limit | None) -> str:
    if limit is None:
        return ""
    unit = next((name for name, length in _UNITS.items() if length == limit.period), str(limit.period))
    return f"{limit.count}/{unit}"
