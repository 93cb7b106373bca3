"""What a fork leaves: connections on which the parent goes on speaking, and the child must not."""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol

from sqlalchemy import Engine, Pool


class Forked(Protocol):
    """What holds connections."""

    def after_fork(self) -> object:
        """Begin anew in the child; give what it had, for forgetting a connection would close it."""
        ...


def tell_after_fork(one: Forked) -> None:
    """See to it that this one is told when it wakes up in the child of a fork."""
    _all.add(one)


def leave_to_parent(engine: Engine) -> Pool:
    """Let an engine connect anew; give its old connections, which are neither used nor closed here, but kept for ever."""
    pool = engine.pool
    engine.dispose(close=False)
    return pool


_all: Final[weakref.WeakSet[Forked]] = weakref.WeakSet()
_inherited: Final[list[object]] = []


def _after_fork() -> None:
    _inherited.extend([one.after_fork() for one in list(_all)])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
