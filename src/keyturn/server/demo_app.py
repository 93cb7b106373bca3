"""What the demonstration runs: one user, one guarded route, a clock that can be sent to yesterday, and Keyturn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .._asgi import App
from .._build import Chance, random_bytes, utc_now
from ..events import Event
from ..settings import Settings
from ..starlette import Keyturn
from ..stores.sqlite import SqliteStore
from ..users import Principal
from .demo_events import MOST_EVENTS
from .demo_page import DemoPage, Visitor
from .demo_settings import LIVELY
from .passwords import SALT_BYTES, is_password, password_hash

SUBJECT: Final = "user-1"
USERNAME: Final = "ada"
#: Where the guarded route is.
ME: Final = "/api/me"


class TravellingClock:
    """Runs like the real clock, but can be sent back and forth.

    Args:
        real: the clock that it runs like.
    """

    def __init__(self, real: Callable[[], datetime] = utc_now) -> None:
        self._real = real
        self._away = timedelta(0)

    def __call__(self) -> datetime:
        """Give the time where the clock is, aware UTC."""
        return self._real() + self._away

    def travel(self, by: timedelta) -> None:
        """Move the clock."""
        self._away += by

    def come_home(self) -> None:
        """Tell the real time from now on."""
        self._away = timedelta(0)


class OneUser:
    """A user directory with one person in it.

    Args:
        password: hers.
        entropy: gives so many random bytes.
    """

    def __init__(self, password: str, entropy: Callable[[int], bytes] = random_bytes) -> None:
        self._kept = password_hash(password, entropy(SALT_BYTES))
        #: Compared with where the name is unknown, so that guessing names takes as long as guessing passwords.
        self._nobody = password_hash(entropy(16).hex(), entropy(SALT_BYTES))

    def authenticate(self, username: str, password: str, _request: Any) -> Principal | None:
        """Give the user whose name and password these are, else None."""
        known = username == USERNAME
        right = is_password(password, self._kept if known else self._nobody)
        return self.load(SUBJECT) if known and right else None

    def load(self, subject: str) -> Principal | None:
        """Give the user of that id, None where there is none."""
        return Principal(subject=subject, claims={"name": "Ada"}) if subject == SUBJECT else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """The demonstration's parts.

    Args:
        app: the application that is served.
        auth: Keyturn in it.
        store: where its sessions are; to be closed in the end.
        clock: the server's own.
        events: what Keyturn has told, in order; the newest of it.
        page: the page behind it.
    """

    app: App
    auth: Keyturn
    store: SqliteStore
    clock: TravellingClock
    events: deque[Event]
    page: DemoPage

    @contextmanager
    def goes_on(self) -> Generator[None]:
        """After the story: in the present, at a pace that can be watched, with a page that begins empty."""
        self.clock.come_home()
        self.page.events.forget()
        settings = Settings.from_mapping({"profile": "development", "issuer": self.auth.settings.issuer, **LIVELY})
        with self.auth.override(settings=settings):
            yield


def build(folder: Path, address: str, password: str) -> Demo:
    """Give the demonstration's application.

    Args:
        folder: an empty one of its own; the database and the keys go there.
        address: ``http://127.0.0.1:PORT``, where it will be served.
        password: of its user.
    """
    clock = TravellingClock()
    # The story begins yesterday and ends in the present, so that the server which goes on is right about the time.
    clock.travel(-timedelta(days=1))
    store = SqliteStore(folder / "demo.db")
    events: deque[Event] = deque(maxlen=MOST_EVENTS)
    page = DemoPage("demo", Visitor(username=USERNAME, password=password))
    auth = Keyturn(
        Settings(profile="development", issuer=address),
        store=store,
        keys=folder / "keys",
        users=OneUser(password),
        listeners=[events.append, page.events.tell],
        chance=Chance(clock=clock),
    )
    app = Starlette(routes=[Route(ME, _me(auth))])
    auth.install(app)
    return Demo(app=page.install(app, auth), auth=auth, store=store, clock=clock, events=events, page=page)


def _me(auth: Keyturn) -> Callable[[Request], Any]:
    async def me(request: Request) -> Response:
        claims = await auth.required(request)
        return JSONResponse({"subject": claims.subject, "name": claims.extra.get("name")})

    return me
