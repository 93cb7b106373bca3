"""How djangorestframework-simplejwt is spoken to, with rotation and blacklist, at the paths of its documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .._adapter import Answer, Call, Held, Outcome, Refreshed, Send, SignInError, User, json_call

_USUAL: Final = {
    "token": "/api/token/",
    "refresh": "/api/token/refresh/",
    "blacklist": "/api/token/blacklist/",
    "me": "/me",
}


class SimplejwtAdapter:
    """Speaks to simplejwt's views.

    Args:
        options: the paths ``token``, ``refresh``, ``blacklist``, and ``me`` for a guarded GET of the application.
    """

    name = "simplejwt"
    transports: tuple[str, ...] = ("body",)
    #: A logout concerns the refresh token alone: access tokens are good until they expire.
    bound: float | None = None

    def __init__(self, options: Mapping[str, str]) -> None:
        if unknown := sorted(options.keys() - _USUAL):
            raise ValueError(f"unknown option {unknown[0]!r}: {', '.join(sorted(_USUAL))} there are")
        self._paths = {**_USUAL, **options}

    async def sign_in(self, send: Send, user: User, transport: str) -> Held:
        """Sign in at TokenObtainPairView."""
        content = {"username": user.name, "password": user.password}
        answer = await send(json_call("POST", self._paths["token"], content))
        if answer.status != 200:
            raise SignInError(f"{self._paths['token']} answered {answer.status}")
        return _kept(answer, "")

    def refresh(self, held: Held) -> Call:
        """Refresh at TokenRefreshView."""
        return json_call("POST", self._paths["refresh"], {"refresh": held.refresh_token})

    def refreshed(self, held: Held, answer: Answer) -> Refreshed:
        """Take what came; a token that is blacklisted, expired or broken is refused alike (``token_not_valid``)."""
        if answer.status != 200:
            return Refreshed(outcome=Outcome.SIGNED_OUT)
        return Refreshed(outcome=Outcome.OK, held=_kept(answer, held.refresh_token))

    def who_am_i(self, held: Held) -> Call:
        """Call the guarded route."""
        return json_call("GET", self._paths["me"], Authorization=f"Bearer {held.access_token}")

    def recognised(self, answer: Answer) -> Outcome:
        """Take ``token_not_valid`` for an expired token; the other refusals concern the user."""
        if answer.status < 400:
            return Outcome.OK
        return Outcome.EXPIRED if answer.json().get("code") == "token_not_valid" else Outcome.SIGNED_OUT

    def end(self, held: Held) -> Call:
        """Blacklist the refresh token at TokenBlacklistView."""
        return json_call("POST", self._paths["blacklist"], {"refresh": held.refresh_token})

    def end_other(self, held: Held, session_id: str) -> Call | None:
        """Give nothing: there are no sessions, only tokens."""
        return None

    def end_all(self, held: Held) -> Call | None:
        """Give nothing: an application would have to write it."""
        return None

    def ended(self, answer: Answer) -> bool:
        """Take 200 for a promise; a token that was blacklisted already is refused with 401 and ends nothing."""
        return answer.status == 200

    def list_sessions(self, held: Held) -> Call | None:
        """Give nothing: there are no sessions, only tokens."""
        return None

    def listed(self, answer: Answer) -> Mapping[str, str]:
        """Give nothing, since nothing is asked."""
        return {}


def _kept(answer: Answer, before: str) -> Held:
    content = answer.json()
    return Held(refresh_token=str(content.get("refresh", "")) or before, access_token=str(content.get("access", "")))


ADAPTER = SimplejwtAdapter
