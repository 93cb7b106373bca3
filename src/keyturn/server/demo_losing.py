"""A line that loses an answer: the server does what it was asked, and the browser never learns of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from .._asgi import App, Receive, Scope, Send
from ..errors import RequestError
from ..messages import Reply
from ..starlette import Keyturn
from .demo_asking import Heard, now, token_in
from .demo_door import Asked
from .demo_events import EventRing
from .demo_line import LINE

#: One visitor has a handful of browsers.
MOST: Final = 16
#: Whoever asked for a loss and went away is not surprised by it tomorrow.
LIFETIME: Final = timedelta(minutes=10)
#: What the head of a lost answer promises; one octet of it is sent.
_PROMISED: Final = b"512"


class LossyLine:
    """Loses the next answer to a refresh of those sessions for which that was asked.

    Args:
        auth: whose sessions they are.
        events: told when an answer was lost.
    """

    def __init__(self, auth: Keyturn, events: EventRing) -> None:
        self._auth = auth
        self._events = events
        self._asked: dict[str, datetime] = {}

    async def ask(self, asked: Asked) -> Reply:
        """POST /demo/lose."""
        token = token_in(self._auth, asked.request.cookies)
        if token is None:
            raise RequestError("Sign in first: this browser holds no session.", code="no_session", status=409)
        self._asked.pop(token.session_id, None)
        while len(self._asked) >= MOST:
            del self._asked[next(iter(self._asked))]  # the oldest
        self._asked[token.session_id] = now(self._auth)
        return Reply(status=204, headers=(("Cache-Control", "no-store"),))

    def takes(self, scope: Scope) -> str | None:
        """Give the id of the session whose refresh this is, if its answer is to be lost; asked once."""
        settings = self._auth.settings
        if not self._asked or scope["method"] != "POST" or scope["path"] != settings.prefix + "/refresh":
            return None
        token = token_in(self._auth, self._auth.take_cookies(scope["headers"])[1])
        since = self._asked.pop(token.session_id, None) if token is not None else None
        if token is None or since is None or now(self._auth) - since > LIFETIME:
            return None
        return token.session_id

    async def lose(self, app: App, session_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an application answer, and break the connection in the middle of another answer, without a cookie."""
        heard = Heard()
        await app(scope, receive, heard.hear)
        self._events.add(
            "AnswerLost", at=now(self._auth).isoformat(), session=session_id, detail={"status": heard.status}
        )
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", _PROMISED),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        # Without an octet of the body some browsers would take the connection for one that died before, and ask again.
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        line: Any = scope.get(LINE)
        if line is None:  # another server closes it where an answer has no end, and complains
            return
        line.hang_up()
        while (await receive())["type"] != "http.disconnect":
            pass
