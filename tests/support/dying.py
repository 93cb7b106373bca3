"""A child process that is killed just before its n-th call to the system, for each n in turn.

For programs of their own, which fork from a process without threads.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

CALLS = ("open", "write", "fsync", "close", "replace", "unlink", "mkdir", "chmod")


def survives(act: Callable[[], object], call: int) -> bool:
    """Act in a child that dies before its n-th call; say whether it came to its end before that."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            _kill_before(call)
            act()
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0, "the act itself failed"
    return True


def _kill_before(call: int) -> None:
    left = call

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return act

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
