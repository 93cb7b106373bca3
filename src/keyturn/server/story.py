"""The story that ``keyturn demo`` tells: real requests, real answers, and a check after each that it went as told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from ..events import ReuseDetected
from .demo_app import ME, USERNAME, Demo
from .telling import Teller, answer_lines, request_lines, short
from .wire import Device, Exchange

#: Longer than an access token lives, clock skew included.
_A_WHILE: Final = timedelta(minutes=6)
_TOKEN_FIELDS: Final = ("access_token", "expires_in", "refresh_token")
_SESSION_FIELDS: Final = ("device_name", "user_agent", "refreshed_at", "current")


class StoryDiffersError(Exception):
    """A step went otherwise than told.

    Args:
        told: what should have been.
        seen: what was.
    """

    def __init__(self, told: str, seen: str) -> None:
        super().__init__(f"told: {told}; seen: {seen}")
        self.told = told
        self.seen = seen


@dataclass(slots=True)
class Story:
    """Ada's browser, her phone, a thief, and what happens to them.

    Args:
        demo: what is served.
        port: where.
        password: Ada's.
        teller: whoever tells it.
    """

    demo: Demo
    port: int
    password: str
    teller: Teller
    browser: Device = field(init=False)
    thief: Device = field(init=False)
    phone: Device = field(init=False)
    _chapter: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        # What a browser adds by itself to the requests of a page, and what programs send instead.
        self.browser = Device(self.port, "Browser", always={"Sec-Fetch-Site": "same-origin"})
        self.phone = Device(self.port, "Phone", always={"Keyturn-Client": "phone"})
        self.thief = Device(self.port, "Thief", always={"Keyturn-Client": "curl"})

    def tell(self) -> None:
        """Tell it from the beginning to the end.

        Raises:
            StoryDiffersError: a step went otherwise than told.
            OSError: the server does not answer.
        """
        for step in (
            self._sign_in, self._call, self._refresh, self._lose_an_answer, self._steal_an_access_token,
            self._replay, self._both_are_out, self._sign_in_again, self._list_devices, self._sign_out,
        ):  # fmt: skip
            step()

    # --- yesterday -------------------------------------------------------------------------------------------------

    def _sign_in(self) -> None:
        self._begin(
            "Sign in",
            "Ada proves once who she is. Her page gets a short access token; two cookies that no script can "
            "read hold the rest.",
        )
        answer = self._send(self.browser, "POST", "/auth/login", 200, body=self._credentials())
        settings = self.demo.auth.settings
        for name in (settings.refresh_cookie, settings.binding_cookie):
            line = next((line for line in answer.set_cookies if line.startswith(name + "=")), "none")
            self._check(
                f"{name} is a cookie that scripts cannot read", held="; HttpOnly" in line, seen=f"Set-Cookie: {name}"
            )
        self._check("the body holds no refresh token", held="refresh_token" not in answer.answer, seen="one")

    def _call(self) -> None:
        self._begin(
            "Call the API",
            "The access token opens the API; the binding cookie, sent by the browser itself, proves that the "
            "token is where it belongs. The check asks no database.",
        )
        answer = self._call_api(self.browser, 200)
        self._check(
            "the API knows who is calling", held=answer.answer.get("subject") == "user-1", seen=str(answer.answer)
        )

    def _refresh(self) -> None:
        self.demo.clock.travel(_A_WHILE)
        self._begin(
            "Turn the key",
            "Six minutes later the access token is over. The refresh token buys a new one, and is itself "
            "replaced: the session is one generation on.",
        )
        self._call_api(self.browser, 401, "token_expired")
        before = self._refresh_cookie(self.browser)
        self._send(self.browser, "POST", "/auth/refresh", 200)
        after = self._refresh_cookie(self.browser)
        self._check(
            f"the refresh token is another one: {short(before)} became {short(after)}",
            held=before != after,
            seen="the same",
        )
        self._call_api(self.browser, 200)

    def _lose_an_answer(self) -> None:
        self.demo.clock.travel(_A_WHILE)
        self._begin(
            "An answer lost on the way",
            "The server turns the key, but the train enters a tunnel: the answer never arrives. The browser can "
            "only try again with the token it has.",
        )
        # Taken here, used tomorrow.
        self.thief.cookies = dict(self.browser.cookies)
        lost = self._send(self.browser, "POST", "/auth/refresh", 200, lost=True)
        self.teller.aside("This answer is lost. The browser tries again:")
        self._send(self.browser, "POST", "/auth/refresh", 200)
        name = self.demo.auth.settings.refresh_cookie
        again = self._refresh_cookie(self.browser)
        self._check(
            f"the same successor, no alarm and no second branch: {short(again)}",
            held=lost.cookie(name) == again,
            seen="another one",
        )
        self._call_api(self.browser, 200)

    def _steal_an_access_token(self) -> None:
        self._begin(
            "A stolen access token",
            "A script in the page has sent the access token to a thief. The cookie it could not read; without "
            "it the token is worth nothing.",
        )
        stranger = Device(self.port, "Thief")
        stranger.access_token = self.browser.access_token
        self._call_api(stranger, 401, "binding_mismatch")
        self._call_api(self.browser, 200)
        self._check("the same token works where it belongs", held=True)

    # --- today -----------------------------------------------------------------------------------------------------

    def _replay(self) -> None:
        self.demo.clock.come_home()
        self._begin(
            "Yesterday's copy",
            "The server's clock, which stood at yesterday until now, moves on by a day to the present. Ada goes "
            "on as usual; and a thief, who copied all her cookies yesterday, tries them.",
        )
        self._send(self.browser, "POST", "/auth/refresh", 200)
        self._call_api(self.browser, 200)
        self.teller.aside("Now the thief, with everything that the browser had yesterday:")
        self._send(self.thief, "POST", "/auth/refresh", 401, "session_ended")
        alarm = next((event for event in self.demo.events if isinstance(event, ReuseDetected)), None)
        if alarm is None:
            raise StoryDiffersError("the application is told ReuseDetected", "no such event")
        self.teller.event(list(_event_lines(alarm)))
        self._check(
            "a spent token came back: two hold copies, and the session is ended",
            held=alarm.behind == 2,
            seen=f"{alarm.behind} behind",
        )

    def _both_are_out(self) -> None:
        self._begin(
            "Nobody keeps the stolen session",
            "The server cannot know which of the two is Ada; so neither goes on. She can sign in again, the "
            "thief cannot.",
        )
        self._call_api(self.browser, 401, "session_ended")
        self._send(self.browser, "POST", "/auth/refresh", 401, "session_ended")
        self._check(
            "the answer cleared the browser's cookies",
            held=not self.browser.cookies,
            seen=", ".join(self.browser.cookies),
        )

    def _sign_in_again(self) -> None:
        self._begin(
            "Sign in again, on two devices",
            "Ada signs in once more; and on her phone, whose program keeps the refresh token itself, so it "
            "travels in bodies instead of cookies.",
        )
        self._send(self.browser, "POST", "/auth/login", 200, body=self._credentials())
        phone = {**self._credentials(), "transport": "body", "device_name": "Ada's phone"}
        answer = self._send(self.phone, "POST", "/auth/login", 200, body=phone)
        self._check(
            "the phone's refresh token is in the body, no cookie is set",
            held="refresh_token" in answer.answer and not answer.set_cookies,
            seen="cookies",
        )

    def _list_devices(self) -> None:
        self._begin(
            "Where am I signed in?",
            "Every session is one row, so a list of devices costs nothing extra.",
        )
        answer = self._send(self.browser, "GET", "/auth/sessions", 200, bearer=self.browser.access_token)
        rows = answer.answer.get("sessions", [])
        names = sorted(row["user_agent"] for row in rows)
        self._check(
            "two devices, and the ended session is not among them", held=names == ["Browser", "Phone"], seen=str(names)
        )

    def _sign_out(self) -> None:
        self._begin(
            "Sign out",
            "Logout ends the session at once, for the access token too, though that has minutes left: even a "
            "copy with its cookie is dead.",
        )
        copy = Device(self.port, "Thief", cookies=self.browser.cookies)
        copy.access_token = self.browser.access_token
        self._send(self.browser, "POST", "/auth/logout", 204)
        self._check("the cookies are gone", held=not self.browser.cookies, seen=", ".join(self.browser.cookies))
        self._call_api(copy, 401, "session_ended")
        self._call_api(self.phone, 200)
        self._check("the phone is another session, and stays signed in", held=True)

    # --- how a step is told ----------------------------------------------------------------------------------------

    def _begin(self, title: str, why: str) -> None:
        self._chapter += 1
        self.teller.chapter(self._chapter, title, why, f"{self.demo.clock():%d %b %H:%M} UTC")

    def _credentials(self) -> dict[str, str]:
        return {"username": USERNAME, "password": self.password}

    def _refresh_cookie(self, device: Device) -> str:
        return device.cookies.get(self.demo.auth.settings.refresh_cookie, "")

    def _call_api(self, device: Device, status: int, code: str = "") -> Exchange:
        return self._send(device, "GET", ME, status, code, bearer=device.access_token)

    def _send(
        self, device: Device, method: str, path: str, status: int, code: str = "", *,
        body: dict[str, str] | None = None, bearer: str = "", lost: bool = False,
    ) -> Exchange:  # fmt: skip
        """Send, show, and check status and code."""
        exchange = device.send(method, path, body=body, bearer=bearer, lost=lost)
        matters = _SESSION_FIELDS if "sessions" in exchange.answer else (*_TOKEN_FIELDS, "subject", "name")
        self.teller.request(list(request_lines(exchange)))
        self.teller.answer(list(answer_lines(exchange, matters)), good=exchange.status < 400)
        if (exchange.status, exchange.code) != (status, code):
            raise StoryDiffersError(
                f"{method} {path} answers {status} {code}".rstrip(), f"{exchange.status} {exchange.code}".rstrip()
            )
        return exchange

    def _check(self, sentence: str, *, held: bool, seen: str = "") -> None:
        if not held:
            raise StoryDiffersError(sentence, seen)
        self.teller.holds(sentence)


def _event_lines(alarm: ReuseDetected) -> Iterator[str]:
    yield "ReuseDetected"
    seconds = round(alarm.since_rotation.total_seconds())
    yield f"behind: {alarm.behind} generations (the current one began {seconds} s ago)"
    yield f"signed in: {alarm.sign_in_client.user_agent}, {alarm.sign_in_client.ip}"
    yield f"presented by: {alarm.client.user_agent}, {alarm.client.ip}"
