"""What an application's configuration says of Keyturn: ``KEYTURN_*``, names and values judged all at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from . import stores
from ._reading import COOKIE_NAMES, did_you_mean, folded, read_list, read_settings, settings_of
from .errors import ConfigurationError
from .settings import SETTING_NAMES

_SQLITE: Final = "sqlite:///"
#: What else than settings is named there: arguments of `keyturn.Service`.
_ARGUMENTS: Final[tuple[str, ...]] = ("store", "keys", "throttle", "trusted_proxies")


def arguments_of(config: Mapping[str, Any], prefix: str, folder: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Join what the code gives with what the configuration says; the code wins. Gives the arguments of a service.

    Args:
        config: the application's; names are in upper case there.
        prefix: what our names begin with.
        folder: what relative paths are relative to.
        given: the arguments that the code gives; those that are None it does not.

    Raises:
        ConfigurationError: with every fault.
    """
    named, faults = _named(config, prefix)
    arguments: dict[str, Any] = {name: named[name] for name in _ARGUMENTS if name in named}
    arguments.update({name: value for name, value in given.items() if value is not None})
    faults += [f"{name} is missing: {say.format(prefix)}" for name, say in _NEEDED.items() if name not in arguments]
    chosen, more = read_settings({name: value for name, value in named.items() if name in SETTING_NAMES}, texts=True)
    places = _with_places(arguments, folder)
    faults += [*more, *_store_faults(places.get("store"))]
    if "settings" not in places:
        places["settings"] = settings_of(chosen, faults, lambda fault: _placed(fault, chosen, prefix))
    elif faults:
        raise ConfigurationError(faults)
    return places


_NEEDED: Final = {
    "users": "give Keyturn(users=…)",
    "store": "set {}STORE, or give Keyturn(store=…)",
    "keys": "set {}KEYS, or give Keyturn(keys=…)",
}


def _with_places(arguments: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Give the arguments with every relative path below a folder."""
    places = dict(arguments)
    for name in ("store", "throttle"):
        address = places.get(name)
        if isinstance(address, str) and address.startswith(_SQLITE):
            places[name] = _SQLITE + _below(folder, address.removeprefix(_SQLITE))
    if "keys" in places:
        places["keys"] = _below(folder, places["keys"])
    if isinstance(proxies := places.get("trusted_proxies"), str):
        places["trusted_proxies"] = read_list(proxies)
    return places


def _named(config: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], list[str]]:
    ours = {name.removeprefix(prefix): value for name, value in config.items() if name.startswith(prefix)}
    names, faults = folded(ours, prefix)
    named: dict[str, Any] = {}
    for name, value in names.items():
        table, _, inner = name.partition("__")
        if name in SETTING_NAMES or name in _ARGUMENTS:
            named[name] = {**named.get(name, {}), **value} if isinstance(value, Mapping) else value
        elif table == "cookie" and inner in COOKIE_NAMES:
            named["cookie"] = {**named.get("cookie", {}), inner: value}
        else:
            faults.append(_unknown(name, prefix))
    return named, faults


def _unknown(name: str, prefix: str) -> str:
    known = [*SETTING_NAMES, *_ARGUMENTS, *(f"cookie__{inner}" for inner in COOKIE_NAMES)]
    return f"{prefix}{name.upper()} is no setting{did_you_mean(name, known, lambda one: prefix + one.upper())}"


def _placed(fault: str, chosen: Mapping[str, Any], prefix: str) -> str:
    """Tell of a fault where its value came from."""
    name = fault.partition(" ")[0].partition(".")[0]
    return f"{prefix}{name.upper()}: {fault}" if name in chosen else fault


def _store_faults(store: Any) -> list[str]:
    if not isinstance(store, str):
        return []
    try:
        stores.open(store)  # connects to nothing
    except ConfigurationError as error:
        return list(error.faults)
    return []


def _below(folder: str, path: Any) -> Any:
    """Give a path as it is seen from a folder, which is made where something shall be kept in it."""
    if not isinstance(path, str | os.PathLike) or Path(path).is_absolute():
        return path
    Path(folder).mkdir(parents=True, exist_ok=True)
    return str(Path(folder, path))
