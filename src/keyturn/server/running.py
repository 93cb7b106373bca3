"""Runs the server: in this process, or in several that a supervisor watches over."""

from __future__ import annotations

import errno
import inspect
import logging
import signal
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.reduction import ForkingPickler
from types import FrameType, MappingProxyType
from typing import Any, Final, NoReturn

import uvicorn

from ..errors import KeyturnError, kind_and_place
from . import logs
from .app import App, build
from .config import ServerConfig
from .demo_line import DemoProtocol
from .demo_page import DemoPage
from .limited import LimitedProtocol
from .room import BACKLOG, raise_limit
from .serving import tcp_socket
from .sharing import shared_folder
from .supervising import Supervisor, end_with_the_supervisor, hear_interrupts
from .upkeep import purging

#: Longer than proxies keep an idle connection (nginx: 60 s): whoever closes first must not be the one that is spoken to.
_KEEP_ALIVE_SECONDS: Final = 75
#: A worker that does not answer its supervisor for so long hangs; a machine with too much to do is given time.
_HUNG_SECONDS: Final = 30
_log: Final = logging.getLogger("keyturn.server")


@dataclass(frozen=True, slots=True)
class Listening:
    """Open ports: one for each address that a host's name stands for."""

    sockets: Sequence[socket.socket]

    @property
    def port(self) -> int:
        """The port's number."""
        number: int = self.sockets[0].getsockname()[1]
        return number

    @property
    def address(self) -> str:
        """Where the server is, as a URL."""
        host: str = self.sockets[0].getsockname()[0]
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def close(self) -> None:
        """Let nobody in any more."""
        for each in self.sockets:
            each.close()


def listen(host: str, port: int) -> Listening:
    """Open a port; requests that come before the first worker is ready wait.

    Raises:
        OSError: it cannot be had.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    places = dict.fromkeys((family, place) for family, _, _, _, place in found)
    for at, (family, place) in enumerate(places, 1):
        number = opened[0].getsockname()[1] if opened else port
        try:
            opened.append(_opened(tcp_socket(family), (place[0], number, *place[2:])))
        except OSError as trouble:
            # A name may stand for an address that this machine could have and has not: localhost without IPv6.
            if trouble.errno == errno.EADDRNOTAVAIL and (opened or at < len(places)):
                continue
            Listening(opened).close()
            raise
    return Listening(opened)


def _opened(one: socket.socket, place: tuple[Any, ...]) -> socket.socket:
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if one.family == socket.AF_INET6:  # else it would take the place of the address of version 4
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(place[0] != "::"))
        one.bind(place)
        one.listen(BACKLOG)
    except OSError:
        one.close()
        raise
    return one


def run(config: ServerConfig, listening: Listening, page: DemoPage | None = None) -> int:
    """Serve until a signal says to stop; give the exit code.

    Args:
        config: what is served.
        listening: the open ports; closed at the end.
        page: the demonstration's, where there is one worker; None for none.
    """
    raise_limit()
    with purging(config):
        if config.workers == 1:
            return _run_here(config, listening.sockets, page)
        return _run_workers(config, listening.sockets)


def uvicorn_config(config: ServerConfig, app: Any) -> uvicorn.Config:
    """Give uvicorn's configuration."""
    wanted: dict[str, Any] = {
        "factory": True,
        "http": LimitedProtocol,
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,  # it would log whole query strings; ours logs what may be known
        "proxy_headers": False,  # it would believe other proxies than we do, and before we are asked
        "server_header": False,
        "workers": config.workers,
        "backlog": BACKLOG,
        "timeout_keep_alive": _KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": round(config.grace_seconds),
        "timeout_worker_healthcheck": _HUNG_SECONDS,
    }
    known = inspect.signature(uvicorn.Config).parameters  # the last is not in every version
    return uvicorn.Config(app, **{name: value for name, value in wanted.items() if name in known})


def _run_here(config: ServerConfig, listening: Sequence[socket.socket], page: DemoPage | None) -> int:
    settings = uvicorn_config(config, partial(build, config, page))
    if page is not None:
        settings.http = DemoProtocol
    server = uvicorn.Server(settings)
    server.run(sockets=list(listening))
    return 0


def _run_workers(config: ServerConfig, listening: Sequence[socket.socket]) -> int:
    let_configurations_travel()
    with shared_folder():
        supervisor = Supervisor(
            uvicorn_config(config, partial(worker, config)),
            list(listening),
            hung_seconds=_HUNG_SECONDS,
            grace_seconds=config.grace_seconds,
        )
        supervisor.run()
    return int(supervisor.failed)


def worker(config: ServerConfig) -> App:
    """Give the application in a worker's process."""
    if (hangup := getattr(signal, "SIGHUP", None)) is not None:
        signal.signal(hangup, signal.SIG_IGN)  # a terminal that closes tells all of its processes; one of them decides
    hear_interrupts()  # uvicorn listens to them since before
    logs.configure(config.log_format, config.log_level)
    end_with_the_supervisor(config.grace_seconds)
    try:
        return build(config)
    except KeyturnError as error:
        _log.error("the server cannot be built: %s", error.cause or error.message)
    except Exception as error:  # noqa: BLE001 - whatever it is, its words may repeat a secret
        _log.error("the server cannot be built: %s", kind_and_place(error))
    raise SystemExit(1)


def let_configurations_travel() -> None:
    """Let a configuration go to workers as it was read: one that is started later must not read another."""
    ForkingPickler.register(MappingProxyType, _pickled)


def _pickled(table: MappingProxyType[str, Any]) -> tuple[Any, ...]:
    return _table, (dict(table),)


def _table(values: dict[str, Any]) -> MappingProxyType[str, Any]:
    return MappingProxyType(values)


@contextmanager
def stopped_in_order() -> Generator[None]:
    """End in order, with exit code 0, also where the signal comes before or after uvicorn listens to it."""
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:  # `nohup` goes on
        before[hangup] = signal.signal(hangup, _stop_as_by_term)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _stop_as_by_term(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGTERM)
