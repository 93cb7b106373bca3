"""The parts that every endpoint works with, in one frozen value; and what a service is built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from .._build import Chance
from .._clients import Clients, Registered
from .._colour import Caller
from .._flows import Flows
from .._proxies import Proxies
from ..events import Listener, ReplyHook
from ..keyrings import KeySource
from ..messages import CookieTaker
from ..settings import Settings
from ..stores import SessionStore
from ..throttle import Informed, Throttle
from ..users import Users
from .credentials import Reader
from .guard import Guard


@dataclass(frozen=True, kw_only=True, slots=True)
class Core:
    """What endpoints share.

    Args:
        clients: the registered programs.
        reply_hooks: may replace the replies of login, refresh and logout.
    """

    settings: Settings
    flows: Flows
    guard: Guard
    users: Users
    throttle: Informed
    clock: Callable[[], datetime]
    call: Caller
    proxies: Proxies
    clients: Clients
    reply_hooks: tuple[ReplyHook, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """What a service is built from, kept so that tests can build it anew with another clock, store or ring."""

    settings: Settings
    store: SessionStore
    keys: KeySource
    users: Users
    throttle: Throttle
    clients: Registered
    listeners: tuple[Listener, ...]
    reply_hooks: tuple[ReplyHook, ...]
    readers: tuple[Reader, ...]
    proxies: Proxies
    chance: Chance


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """A service's parts, replaced as a whole."""

    inputs: Inputs
    core: Core
    take_cookies: CookieTaker
