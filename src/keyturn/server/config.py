"""What the program is configured with: `keyturn.toml` and the environment, or the defaults in ``./.keyturn/``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from .._loading import Configuration, load_configuration
from .._reading import did_you_mean, read_duration, read_switch, shown_name
from .._validation import Unreadable, shown
from ..errors import ConfigurationError
from ..settings import Settings

#: Read where no file is named.
FILE: Final = "keyturn.toml"
#: Where the database and the keys are where there is no file.
HOME: Final = ".keyturn"
#: A table of more is a slip of the keys.
MOST_WORKERS: Final = 128
_WHOLE: Final = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerConfig:
    """The configuration of the stand-alone server and of the command line.

    Args:
        configuration: what is not the server's alone: settings, limits, clients, proxies.
        home: the folder that relative paths are relative to, absolute.
        host: the address to listen at.
        port: the port to listen at; 0 takes a free one.
        workers: how many processes answer.
        store: the address of the database; the path in one of SQLite is absolute.
        keys: the directory of the key ring, absolute.
        counters: where attempts are counted: ``memory:``, ``store`` (beside the sessions) or an address.
        migrate: whether the tables are brought up to date at start.
        hashes: how many passwords one worker hashes at once; 0 means the machine's share.
        hash_queue: how many sign-ins of one worker may wait for that.
        log_format: ``json`` or ``text``.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        metrics: whether ``/metrics`` is answered.
        grace_seconds: how long requests under way may take once the server was told to stop.
        purge_seconds: how often the server deletes sessions that have been over for a day; 0 for never.
    """

    configuration: Configuration
    home: Path
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    store: str
    keys: Path
    counters: str = "store"
    migrate: bool = True
    hashes: int = 0
    hash_queue: int = 200
    log_format: str = "json"
    log_level: str = "info"
    metrics: bool = True
    grace_seconds: float = 30.0
    purge_seconds: float = 3600.0

    @property
    def settings(self) -> Settings:
        """The ``[keyturn]`` table."""
        return self.configuration.settings

    @property
    def path(self) -> Path | None:
        """The file; None where there was none."""
        return self.configuration.path


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    here: Path | None = None,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> ServerConfig:
    """Read the configuration.

    Args:
        path: the file; where left out `FILE` if it is here, else there is none and everything is in `HOME`.
        environment: the process's own where left out.
        here: the current folder.
        overrides: values of the ``[server]`` table that stand above all others, as options of a command do.

    Raises:
        ConfigurationError: with every fault.
    """
    folder = (here or Path.cwd()).absolute()
    file = folder / path if path is not None else folder / FILE if (folder / FILE).exists() else None
    home = file.parent if file is not None else folder / HOME
    found: dict[str, Any] = {}
    faults: list[str] = []

    def issuer(rest: Mapping[str, Any]) -> str:
        found.update(_server_values({**rest.get("server", {}), **overrides}, faults))
        return _own_address(found)

    try:
        configuration = load_configuration(file, environment=environment, default_issuer=issuer)
    except ConfigurationError as error:
        raise ConfigurationError([*error.faults, *(fault for fault in faults if fault not in error.faults)]) from None
    if not found and not faults:  # the issuer was named, so nobody asked
        found.update(_server_values({**configuration.rest.get("server", {}), **overrides}, faults))
    if faults:
        raise ConfigurationError(faults)
    store = absolute_store(found.pop("store", "sqlite:///keyturn.db"), home)
    keys = home / found.pop("keys", "keys")
    return ServerConfig(configuration=configuration, home=home, store=store, keys=keys, **found)


def absolute_store(url: str, home: Path) -> str:
    """Give a database's address with the path of a SQLite file made absolute."""
    scheme, found, path = url.partition(":///")
    return f"{scheme}:///{home / path}" if found and scheme == "sqlite" else url


def _own_address(values: Mapping[str, Any]) -> str:
    host, port = values.get("host", "127.0.0.1"), values.get("port", 8000)
    # An address that means every interface is nobody's name.
    name = "127.0.0.1" if host in ("0.0.0.0", "::", "") else f"[{host}]" if ":" in host else host  # noqa: S104 - it is what is asked
    return f"http://{name}:{port}"


def _server_values(table: Mapping[str, object], faults: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in table.items():
        reader = _READERS.get(name)
        if reader is None:
            faults.append(f"[server] {shown_name(name)} is no setting{did_you_mean(name, _READERS)}")
        elif reader is not _read_elsewhere and value is not None:
            read = reader(name, value)
            if isinstance(read, Unreadable):
                faults.append(f"[server] {read}")
            else:
                values[_FIELDS.get(name, name)] = read
    return values


def _read_elsewhere(_name: str, _value: object) -> None:
    """Stand for what `load_configuration` reads."""


def _text(name: str, value: object) -> object:
    return value if isinstance(value, str) and value else Unreadable(f"{name} is {shown(value)}: write a text")


def _number(least: int, most: int) -> Callable[[str, object], object]:
    def read(name: str, value: object) -> object:
        if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        return Unreadable(f"{name} is {shown(value)}: write a number from {least} to {most}")

    return read


def _one_of(*choices: str) -> Callable[[str, object], object]:
    def read(name: str, value: object) -> object:
        if isinstance(value, str) and value.lower() in choices:
            return value.lower()
        return Unreadable(f"{name} is {shown(value)}: write one of {', '.join(choices)}")

    return read


def _seconds(name: str, value: object) -> object:
    read = read_duration(name, value)
    return read if isinstance(read, Unreadable) else cast("Any", read).total_seconds()


def _seconds_or_never(name: str, value: object) -> object:
    return 0.0 if value == "" else _seconds(name, value)


#: Durations are fields in seconds.
_FIELDS: Final = MappingProxyType({"grace": "grace_seconds", "purge": "purge_seconds"})
_READERS: Final[Mapping[str, Callable[[str, object], object]]] = MappingProxyType(
    {
        "host": _text,
        "port": _number(0, 65535),
        "workers": _number(1, MOST_WORKERS),
        "store": _text,
        "keys": _text,
        "trusted_proxies": _read_elsewhere,
        "counters": _text,
        "migrate": read_switch,
        "hashes": _number(0, 256),
        "hash_queue": _number(1, 100_000),
        "log_format": _one_of("json", "text"),
        "log_level": _one_of("debug", "info", "warning", "error"),
        "metrics": read_switch,
        "grace": _seconds,
        "purge": _seconds_or_never,
    }
)
#: The names of the ``[server]`` table.
SERVER_NAMES: Final[Sequence[str]] = tuple(_READERS)
