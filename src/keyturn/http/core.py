"""The parts that every endpoint works with, in one frozen value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from .._colour import Caller
from .._flows import Flows
from ..events import ReplyHook
from ..settings import Settings
from ..throttle import Throttle
from ..users import RegisteredClient, Users
from .guard import Guard


@dataclass(frozen=True, kw_only=True, slots=True)
class Core:
    """What endpoints share.

    Args:
        clients: the registered programs, by id.
        reply_hooks: may replace the replies of login, refresh and logout.
    """

    settings: Settings
    flows: Flows
    guard: Guard
    users: Users
    throttle: Throttle
    clock: Callable[[], datetime]
    call: Caller
    clients: Mapping[str, RegisteredClient]
    reply_hooks: tuple[ReplyHook, ...] = ()
