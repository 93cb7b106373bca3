"""Settings from where operators keep them: the environment first, then ``keyturn.toml``, then the defaults.

Other tables than ``[keyturn]`` belong to others (the server, the registered clients): they are handed on as they were
written; of ``[throttle]`` and of ``trusted_proxies`` the values that they spell are given besides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from ._client_tables import read_clients
from ._proxies import read_proxies
from ._reading import COOKIE_NAMES, did_you_mean, folded, read_list, read_settings, settings_of, shown_name
from ._toml import read_toml
from ._validation import shown
from .errors import ConfigurationError
from .limits import LIMIT_NAMES, Limits
from .settings import SETTING_NAMES, Settings
from .users import RegisteredClient

_ENVIRONMENT: Final = "KEYTURN_"
#: Tables that others read; variables can only spell the flat ones.
_FLAT_TABLES: Final = ("server", "throttle")
_TABLES: Final = ("keyturn", *_FLAT_TABLES, "clients")
#: Read by others: by the project's own scripts, in any environment where Keyturn is developed; by `StaticKeys`; and by
#: the command line, which finds the file by it.
_NOT_OURS: Final = frozenset({"setup", "keys", "config"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """Everything that a file and an environment configure.

    Args:
        settings: the ``[keyturn]`` table, checked.
        clients: what the ``[[clients]]`` tables spell, checked: for `Service(clients=…)`.
        rest: the other tables (``server``, ``throttle``), names in lower case. What comes from the environment is
            text, whatever it stands for.
        path: the file; None where there was none. What is relative in it is relative to its folder.
        limits: what the ``[throttle]`` table spells, checked.
        trusted_proxies: those of the ``[server]`` table, checked.
    """

    settings: Settings
    clients: tuple[RegisteredClient, ...] = field(default=(), repr=False)
    rest: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    path: Path | None = None
    limits: Limits = field(default_factory=Limits)
    trusted_proxies: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """What a file or an environment says, sorted by who reads it; `faults` are about names and shapes."""

    settings: Mapping[str, Any]
    others: Mapping[str, Any]
    faults: Sequence[str]


_NOTHING: Final = _Source(settings={}, others={}, faults=())


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
    file = _NOTHING if path is None else _sorted_tables(read_toml(Path(path)))
    surroundings = _sorted_variables(os.environ if environment is None else environment)
    lower, named = read_settings(file.settings, texts=False)
    upper, _ = read_settings(surroundings.settings, texts=True)  # its names are known already
    chosen, rest = _merged(lower, upper), _merged(file.others, surroundings.others)
    tables = rest.pop("clients", ())
    faults = [f"{path}: {fault}" for fault in [*file.faults, *(f"[keyturn] {fault}" for fault in named)]]
    faults += surroundings.faults
    if chosen.get("issuer") is None and default_issuer is not None:
        chosen["issuer"] = _ask(default_issuer, _frozen(rest), faults)
    limits = _limits(file.others, surroundings.others, f"{path}: [throttle] ", faults)
    proxies = _trusted_proxies(rest.get("server", {}).get("trusted_proxies", ()), faults)
    places = _places(lower, f"{path}: [keyturn] ") | _places(upper)
    clients = _clients(tables, path, faults)
    settings = settings_of(chosen, faults, lambda fault: places.get(fault.partition(" ")[0], "") + fault)
    return Configuration(
        settings=settings,
        clients=clients,
        rest=_frozen(rest),
        path=None if path is None else Path(path),
        limits=limits,
        trusted_proxies=proxies,
    )


def limits_from_mapping(values: Mapping[str, object]) -> Limits:
    """Give the limits that a mapping spells; `Limits.from_mapping` says how."""
    faults: list[str] = []
    limits = _limits({"throttle": values}, {}, "", faults)
    if faults:
        raise ConfigurationError(faults)
    return limits


def _limits(lower: Mapping[str, Any], upper: Mapping[str, Any], place: str, faults: list[str]) -> Limits:
    """Give what two ``throttle`` tables spell, the upper one first; what is wrong with them is added to `faults`."""
    tables = (lower.get("throttle", {}), place), (upper.get("throttle", {}), f"{_ENVIRONMENT}THROTTLE__")
    chosen: dict[str, Any] = {}
    for table, where in tables:
        for name, value in table.items():
            if name.lower() not in LIMIT_NAMES:
                faults.append(f"{where}{shown_name(name)} is no limit{did_you_mean(name.lower(), LIMIT_NAMES)}")
            chosen[name.lower()] = value, where
    limits: dict[str, Any] = {}
    for name, (value, where) in chosen.items():
        try:
            limits |= {name: getattr(Limits(**{name: value}), name)} if name in LIMIT_NAMES else {}
        except ConfigurationError as error:
            faults += [where + fault for fault in error.faults]
    return Limits(**limits)


def _clients(
    tables: Sequence[Mapping[str, Any]], path: str | os.PathLike[str] | None, faults: list[str]
) -> tuple[RegisteredClient, ...]:
    found: list[str] = []
    clients = read_clients(tables, found)
    faults += [f"{path}: {fault}" for fault in found]
    return clients


def _trusted_proxies(value: object, faults: list[str]) -> tuple[str, ...]:
    """Give the texts of a list of proxies, or of one text with commas, as a variable spells it."""
    values = read_list(value) if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(item, str) for item in cast("list[object]", values)):
        faults.append(f"trusted_proxies is {shown(value)}: write a list of addresses and networks")
        return ()
    proxies = tuple(cast("list[str]", values))
    try:
        read_proxies(proxies)
    except ConfigurationError as error:
        faults += error.faults
    return proxies


def _ask(default_issuer: Callable[[Mapping[str, Any]], str], rest: Mapping[str, Any], faults: list[str]) -> str:
    try:
        return default_issuer(rest)
    except ConfigurationError as error:
        faults += error.faults
        return "https://unknown.invalid"  # nothing is built any more, but the other settings are judged too


def _places(chosen: Mapping[str, Any], place: str | None = None) -> dict[str, str]:
    names = [*chosen, *(f"cookie.{name}" for name in chosen.get("cookie", ()))]
    return {name: _variable(name) + ": " if place is None else place for name in names}


def _variable(name: str) -> str:
    return _ENVIRONMENT + name.upper().replace(".", "__")


def _merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    shared = [name for name in upper if isinstance(lower.get(name), dict) and isinstance(upper[name], dict)]
    return {**lower, **upper, **{name: {**lower[name], **upper[name]} for name in shared}}


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        table = cast("Mapping[str, object]", value)
        return MappingProxyType({name: _frozen(item) for name, item in table.items()})
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in cast("Sequence[object]", value))
    return value


# --- the file --------------------------------------------------------------------------------------------------------


def _sorted_tables(data: Mapping[str, object]) -> _Source:
    tables, twice = folded(data, "")
    faults = [*twice, *_misplaced(tables)]
    settings = tables.get("keyturn", {})
    others: dict[str, Any] = {}
    for name in _FLAT_TABLES:
        if isinstance(table := tables.get(name, {}), dict):
            others[name], more = folded(cast("dict[str, object]", table), f"[{name}] ")
            faults += more
    if _is_tables(clients := tables.get("clients", [])):
        others["clients"] = clients
    return _Source(settings=settings if isinstance(settings, dict) else {}, others=others, faults=faults)


def _misplaced(tables: Mapping[str, object]) -> Iterable[str]:
    for name, value in tables.items():
        if name in SETTING_NAMES:
            yield f"{name} stands outside of [keyturn]: move it below that line"
        elif name not in _TABLES:
            yield f"[{shown_name(name)}] is no table that is read here{did_you_mean(name, _TABLES)}"
        elif name == "clients" and not _is_tables(value):
            yield "clients is no list of tables: begin each with a line [[clients]]"
        elif name != "clients" and not isinstance(value, dict):
            yield f"{name} is no table: write a line [{name}] and the names below it"


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in cast("list[object]", value))


# --- the environment -------------------------------------------------------------------------------------------------


def _sorted_variables(environment: Mapping[str, str]) -> _Source:
    ours = {
        name.removeprefix(_ENVIRONMENT): text for name, text in environment.items() if name.startswith(_ENVIRONMENT)
    }
    variables, twice = folded(ours, _ENVIRONMENT)
    settings: dict[str, Any] = {}
    others: dict[str, Any] = {}
    faults = list(twice)
    for name, text in variables.items():
        table, _, inner = name.partition("__")
        if name in SETTING_NAMES and name != "cookie":
            settings[name] = text
        elif table == "cookie" and inner in COOKIE_NAMES:
            settings.setdefault("cookie", {})[inner] = text
        elif table in _FLAT_TABLES and inner:
            others.setdefault(table, {})[inner] = text
        elif name not in _NOT_OURS:
            faults.append(_unknown_variable(name))
    return _Source(settings=settings, others=others, faults=faults)


def _unknown_variable(name: str) -> str:
    known = [*SETTING_NAMES, *(f"cookie__{inner}" for inner in COOKIE_NAMES), *(f"{table}__" for table in _FLAT_TABLES)]
    known.remove("cookie")
    table = name.partition("__")[0]
    if table == "clients":
        return "KEYTURN_CLIENTS cannot be spelled in the environment: write [[clients]] in the file"
    if name.rstrip("_") == table and table in ("cookie", *_FLAT_TABLES):
        return f"{_variable(table)} is a table: write {_variable(table)}__ and the name in it"
    return f"{shown_name(_variable(name))} is no setting{did_you_mean(name, known, _variable)}"
