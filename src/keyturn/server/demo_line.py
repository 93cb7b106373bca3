"""What a demonstration may ask of the connection that a request came on: to break it, and whether the server stops."""

from __future__ import annotations

from typing import Any, Final, Protocol

from .limited import ENDS, LimitedProtocol

#: Where a request's scope holds its `Line`; other servers than ours have none.
LINE: Final = "keyturn.line"


class Line(Protocol):
    """The connection of a request."""

    @property
    def ends(self) -> bool:
        """Whether the server was told to stop, or the browser has gone: whoever waits should wait no longer."""
        ...

    def hang_up(self) -> None:
        """Close the connection, whatever was still to be said."""
        ...


class DemoProtocol(LimitedProtocol):
    """HTTP/1.1 as the server speaks it, that puts itself into each request's scope as its `Line`."""

    def on_headers_complete(self) -> None:
        """Hand a request to the application, which is called after this and finds what is put there now."""
        super().on_headers_complete()
        scope: Any = self.scope  # to uvicorn's annotation a scope has no names of others
        scope[LINE] = self

    @property
    def ends(self) -> bool:
        """Whether the server was told to stop, or the browser has gone."""
        return ENDS in self.app_state or self.transport.is_closing()

    def hang_up(self) -> None:
        """Close the connection."""
        self.transport.close()
