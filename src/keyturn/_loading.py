"""Settings from where operators keep them: the environment first, then ``keyturn.toml``, then the defaults.

Other tables than ``[keyturn]`` belong to others (the server, the throttles, the registered clients): they are handed
on as they were written.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from ._reading import did_you_mean, folded, read_settings
from ._validation import shown
from .errors import ConfigurationError
from .settings import SETTING_NAMES, Settings

_ENVIRONMENT: Final = "KEYTURN_"
#: Tables of the file that others read.
_OTHERS: Final = ("server", "throttle", "clients")
#: Read by the project's own scripts; it may stand in any environment where Keyturn is developed.
_NOT_OURS: Final = frozenset({"setup"})
_AT_LINE: Final = re.compile(r"at line ([0-9]+)")
_TELLING: Final = re.compile(r"secret|password|digest|token|key|store|://", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """Everything that a file and an environment configure.

    Args:
        settings: the ``[keyturn]`` table, checked.
        clients: the ``[[clients]]`` tables as they were written.
        rest: the other tables (``server``, ``throttle``), names in lower case. What comes from the environment is
            text, whatever it stands for.
        path: the file; None where there was none. What is relative in it is relative to its folder.
    """

    settings: Settings
    clients: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    rest: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    path: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """What a file or an environment says, sorted by who reads it; `faults` are about names and shapes."""

    settings: Mapping[str, object] = field(default_factory=dict)
    others: Mapping[str, object] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def settings_from_mapping(values: Mapping[str, object]) -> Settings:
    """Give the settings that a mapping spells; `Settings.from_mapping` says how."""
    if not isinstance(values, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(["the settings are not a mapping of names to values"])
    chosen, faults = read_settings(values, texts=False)
    return settings_of(chosen, faults, str)


def load_configuration(
    path: str | os.PathLike[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    default_issuer: Callable[[Mapping[str, Any]], str] | None = None,
) -> Configuration:
    """Read a file, lay the environment over it and check the whole.

    Args:
        path: the TOML file; None for the environment alone.
        environment: the process's own where left out.
        default_issuer: asked with `Configuration.rest` where nobody names an issuer (the server knows its address).

    Raises:
        ConfigurationError: with every fault that was found and where; no secret is shown.
    """
    file = _Source() if path is None else _sorted_tables(_parsed(Path(path)))
    surroundings = _sorted_variables(os.environ if environment is None else environment)
    lower, named = read_settings(file.settings, texts=False)
    upper, _ = read_settings(surroundings.settings, texts=True)
    faults = [f"{path}: {fault}" for fault in [*file.faults, *(f"[keyturn] {fault}" for fault in named)]]
    faults += surroundings.faults
    rest = _merged(file.others, surroundings.others)
    clients = rest.pop("clients", ())
    chosen = _merged(lower, upper)
    if chosen.get("issuer") is None and default_issuer is not None:
        chosen["issuer"] = _ask(default_issuer, _frozen(rest), faults)
    told = partial(_placed, names_of_file=_flat(lower), names_of_environment=_flat(upper), path=path)
    settings = settings_of(chosen, faults, told)
    return Configuration(settings=settings, clients=_frozen(clients), rest=_frozen(rest), path=path and Path(path))


def _ask(default_issuer: Callable[[Mapping[str, Any]], str], rest: Mapping[str, Any], faults: list[str]) -> str:
    try:
        return default_issuer(rest)
    except ConfigurationError as error:
        faults += error.faults
        return "https://unknown.invalid"  # only so that the other settings are judged too


def _merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    both = {name for name in lower.keys() & upper.keys() if isinstance(lower[name], dict)}
    return {**lower, **upper} | {name: _merged(lower[name], upper[name]) for name in both}


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        table = cast("Mapping[str, object]", value)
        return MappingProxyType({name: _frozen(item) for name, item in table.items()})
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in cast("Sequence[object]", value))
    return value


# --- where a fault comes from ----------------------------------------------------------------------------------------


def _flat(chosen: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(chosen) | {f"cookie.{name}" for name in chosen.get("cookie", ())}


def _placed(
    fault: str, *, names_of_file: frozenset[str], names_of_environment: frozenset[str], path: str | os.PathLike[str] | None
) -> str:
    name = fault.partition(" ")[0]  # a fault of the settings begins with the setting's name
    if name in names_of_environment:
        return f"{_variable(name)}: {fault}"
    return f"{path}: [keyturn] {fault}" if name in names_of_file else fault


def _variable(name: str) -> str:
    return _ENVIRONMENT + name.upper().replace(".", "__")


# --- the environment -------------------------------------------------------------------------------------------------


def _sorted_variables(environment: Mapping[str, str]) -> _Source:
    ours = {name.removeprefix(_ENVIRONMENT): value for name, value in environment.items() if name.startswith(_ENVIRONMENT)}
    table, twice = folded(ours, _ENVIRONMENT)
    source = _Source(settings={}, faults=twice)
    settings: dict[str, Any] = {}
    others: dict[str, Any] = {}
    faults = list(twice)
    for name, value in table.items():
        first, *inner = name.split("__")
        if name in SETTING_NAMES and name != "cookie":
            settings[name] = value
        elif first == "cookie" and inner and inner[0] in COOKIE_NAMES and len(inner) == 1:
            settings.setdefault("cookie", {})[inner[0]] = value
        elif first in _TABLES and len(inner) == 1 and inner[0]:
            others.setdefault(first, {})[inner[0]] = value
        elif name not in _NOT_OURS:
            faults.append(_no_variable(name))
    return _Source(settings=settings, others=others, faults=faults)
