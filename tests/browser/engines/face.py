"""The face that engines show to the tests: profiles with a jar of their own, tabs in them, scripts in those."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import httpx

#: Seconds; a busy machine may take its time, and what is ready sooner is used sooner.
PATIENCE = 60.0
STARTS = 3


class RefusedError(Exception):
    """The browser, or what drives it, answered a command with an error."""


class ScriptError(Exception):
    """A script in a page threw this."""


@dataclass(frozen=True, kw_only=True)
class Cookie:
    """A cookie as the browser keeps it; `expires` is None for one that goes with the browser."""

    name: str
    value: str = field(repr=False)
    domain: str
    path: str
    http_only: bool
    secure: bool
    same_site: str
    expires: int | None


class Tab(Protocol):
    """A page that the user looks at."""

    def go(self, url: str) -> None:
        """Go to an address and wait until its page has loaded."""

    def reload(self) -> None:
        """Load the page anew."""

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """Call a JavaScript function, perhaps an async one, and give what comes of it, as Playwright does; all in JSON."""

    def cookies(self) -> list[Cookie]:
        """Give what the jar holds for this page's host, by name."""

    def clear_cookies(self) -> None:
        """Empty the jar of those."""

    def close(self) -> None:
        """Close the tab."""


class Profile(Protocol):
    """A browser that knows nothing yet."""

    def open_tab(self, url: str) -> Tab:
        """Open a page in a tab of its own."""

    def close(self) -> None:
        """Close it, and all its tabs."""


class Engine(Protocol):
    """An engine that runs."""

    name: str
    version: str

    def new_profile(self) -> Profile:
        """Give a browser that knows nothing yet."""

    def close(self) -> None:
        """End it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def started(start: Callable[[], Engine]) -> Engine:
    """Start an engine, and once more should it fail: beside other tests a browser's start may take too long."""
    for _ in range(STARTS - 1):
        try:
            return start()
        except (AssertionError, OSError, RefusedError, httpx.HTTPError):
            continue
    return start()
