"""How Keyturn is spoken to, in both transports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .._adapter import Answer, Call, Held, Outcome, Refreshed, Send, SignInError, User, json_call, taking_cookies

#: With or without the cookie prefix, and any suffix: __Host-Http-kt_refresh, kt_refresh, kt_refresh_staff.
_REFRESH_COOKIE: Final = re.compile(r"(?:__Host-Http-|__Host-|__Secure-)?kt_refresh(?:_.+)?")
#: What a program sends instead of the headers by which browsers prove their page (protocol, "Request forgery").
_PROGRAM: Final = {"Keyturn-Client": "torture"}


class KeyturnAdapter:
    """Speaks to Keyturn's own routes.

    Args:
        options: ``prefix`` of the routes (``/auth``), ``me`` for a guarded GET of the application (the prefix's
            ``/session``), ``bound`` for the server's staleness bound in seconds (5).
    """

    name = "keyturn"
    transports = ("cookie", "body")

    def __init__(self, options: Mapping[str, str]) -> None:
        unknown = options.keys() - {"prefix", "me", "bound"}
        if unknown:
            raise ValueError(f"unknown option {min(unknown)!r}: prefix, me and bound there are")
        self._prefix = options.get("prefix", "/auth")
        self._me = options.get("me", f"{self._prefix}/session")
        self.bound: float | None = float(options.get("bound", "5"))

    async def sign_in(self, send: Send, user: User, transport: str) -> Held:
        """Sign in at POST /login."""
        content = {"username": user.name, "password": user.password, "transport": transport, "device_name": "torture"}
        answer = await send(self._to("POST", "/login", {}, content))
        if answer.status != 200:
            raise SignInError(f"POST {self._prefix}/login answered {answer.status} {answer.json().get('code', '')}")
        return self._kept(Held(refresh_token="", transport=transport), answer)

    def refresh(self, held: Held) -> Call:
        """Turn the key at POST /refresh; in cookie sessions the jar is all that is sent."""
        content = None if held.transport == "cookie" else {"refresh_token": held.refresh_token}
        return self._to("POST", "/refresh", held.cookies, content)

    def refreshed(self, held: Held, answer: Answer) -> Refreshed:
        """Read the token answer, or the code of the refusal."""
        if answer.status == 200:
            return Refreshed(outcome=Outcome.OK, held=self._kept(held, answer))
        stale = answer.json().get("code") == "token_stale"
        return Refreshed(outcome=Outcome.STALE if stale else Outcome.SIGNED_OUT)

    def who_am_i(self, held: Held) -> Call:
        """Call the guarded route."""
        return Call(method="GET", path=self._me, headers=self._with_access(held))

    def recognised(self, answer: Answer) -> Outcome:
        """Read the code by which a client acts."""
        if answer.status < 400:
            return Outcome.OK
        again = answer.json().get("code") in {"token_missing", "token_expired", "token_stale"}
        return Outcome.EXPIRED if again else Outcome.SIGNED_OUT

    def end(self, held: Held) -> Call:
        """Sign out at POST /logout."""
        content = None if held.transport == "cookie" else {"refresh_token": held.refresh_token}
        return self._to("POST", "/logout", held.cookies, content)

    def end_other(self, held: Held, session_id: str) -> Call | None:
        """End another device at DELETE /sessions/{id}."""
        return Call(method="DELETE", path=f"{self._prefix}/sessions/{session_id}", headers=self._with_access(held))

    def end_all(self, held: Held) -> Call | None:
        """Sign out everywhere at POST /logout-all."""
        return Call(method="POST", path=f"{self._prefix}/logout-all", headers=self._with_access(held))

    def ended(self, answer: Answer) -> bool:
        """Take 204 and 200 for a promise."""
        return answer.status in {200, 204}

    def list_sessions(self, held: Held) -> Call | None:
        """List the devices at GET /sessions."""
        return Call(method="GET", path=f"{self._prefix}/sessions", headers=self._with_access(held))

    def listed(self, answer: Answer) -> Mapping[str, str]:
        """Read each session's absolute end."""
        return {str(row["id"]): str(row["expires_at"]) for row in answer.json().get("sessions", ())}

    def _to(self, method: str, path: str, cookies: Mapping[str, str], content: Mapping[str, str] | None) -> Call:
        call = json_call(method, self._prefix + path, content)
        return Call(method=method, path=call.path, headers={**call.headers, **_with_jar(cookies)}, body=call.body)

    def _with_access(self, held: Held) -> dict[str, str]:
        bearer = {"Authorization": f"Bearer {held.access_token}"} if held.access_token else {}
        return {**_with_jar(held.cookies), **bearer}

    def _kept(self, before: Held, answer: Answer) -> Held:
        content = answer.json()
        jar = taking_cookies(before.cookies, answer)
        in_jar = next((value for name, value in jar.items() if _REFRESH_COOKIE.fullmatch(name)), "")
        left = content.get("refresh_expires_in")
        return Held(
            refresh_token=str(content.get("refresh_token", "")) or in_jar,
            access_token=str(content.get("access_token", "")),
            cookies=jar,
            session_id=str(content["session_id"]) if "session_id" in content else before.session_id,
            expires_in=float(left) if left is not None else None,
            transport=before.transport,
        )


def _with_jar(cookies: Mapping[str, str]) -> dict[str, str]:
    if not cookies:
        return dict(_PROGRAM)
    return {**_PROGRAM, "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


ADAPTER = KeyturnAdapter
