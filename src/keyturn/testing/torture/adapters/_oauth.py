"""What products that speak OAuth have in common: one endpoint for sign-in and refresh, one for revocation.

Users sign in by the resource owner password grant (RFC 6749 section 4.3). OAuth 2.1 has left it out, for good reasons,
but a program that tries a server out has nobody to click through pages.
"""

from __future__ import annotations

from collections.abc import Mapping

from .._adapter import Answer, Call, Held, Outcome, Refreshed, Send, SignInError, User, form_call


class OAuthAdapter:
    """Speaks to the token endpoint and the revocation endpoint of an OAuth server.

    Args:
        options: ``token``, ``revoke`` and ``me`` (the guarded GET) are paths; ``client_id``, ``client_secret`` and
            ``scope`` are sent as they are, where they are not empty; ``bound`` in seconds, empty where none is promised.
    """

    name = "oauth"
    transports: tuple[str, ...] = ("body",)
    #: What a product's adapter sets differently.
    usual: Mapping[str, str] = {}

    def __init__(self, options: Mapping[str, str]) -> None:
        known = {"token": "/token", "revoke": "/revoke", "me": "/me", "client_id": "benchmark", "bound": "1"}
        known |= {"client_secret": "", "scope": "", **self.usual}
        if unknown := sorted(options.keys() - known):
            raise ValueError(f"unknown option {unknown[0]!r}: {', '.join(sorted(known))} there are")
        self._options = {**known, **options}
        self.bound = float(self._options["bound"]) if self._options["bound"] else None

    async def sign_in(self, send: Send, user: User, transport: str) -> Held:
        """Sign in with grant_type=password (RFC 6749 section 4.3.2)."""
        asked = {"grant_type": "password", "username": user.name, "password": user.password}
        answer = await send(self._form("token", {**asked, "scope": self._options["scope"]}))
        if answer.status != 200:
            raise SignInError(f"{self._options['token']} answered {answer.status} {answer.json().get('error', '')}")
        return _kept(answer, "")

    def refresh(self, held: Held) -> Call:
        """Refresh with grant_type=refresh_token (RFC 6749 section 6)."""
        return self._form("token", {"grant_type": "refresh_token", "refresh_token": held.refresh_token})

    def refreshed(self, held: Held, answer: Answer) -> Refreshed:
        """Take what came; any refusal (``invalid_grant``, RFC 6749 section 5.2) ends the session for its client."""
        if answer.status != 200:
            return Refreshed(outcome=Outcome.SIGNED_OUT)
        return Refreshed(outcome=Outcome.OK, held=_kept(answer, held.refresh_token))

    def who_am_i(self, held: Held) -> Call:
        """Call the guarded route with a bearer token (RFC 6750)."""
        return Call(
            method="GET", path=self._options["me"], headers={"Authorization": f"Bearer {held.access_token}"}
        )  # fmt: skip

    def recognised(self, answer: Answer) -> Outcome:
        """Take every refusal for an expired token: ``invalid_token`` tells no more (RFC 6750 section 3.1)."""
        return Outcome.OK if answer.status < 400 else Outcome.EXPIRED

    def end(self, held: Held) -> Call:
        """Revoke the refresh token (RFC 7009 section 2.1)."""
        return self._form("revoke", {"token": held.refresh_token, "token_type_hint": "refresh_token"})

    def end_other(self, held: Held, session_id: str) -> Call | None:
        """Give nothing: OAuth knows no list of a user's sessions."""
        return None

    def end_all(self, held: Held) -> Call | None:
        """Give nothing: OAuth has no request for it."""
        return None

    def ended(self, answer: Answer) -> bool:
        """Take 200 for a promise, as RFC 7009 section 2.2 gives it."""
        return answer.status == 200

    def list_sessions(self, held: Held) -> Call | None:
        """Give nothing: OAuth has no request for it."""
        return None

    def listed(self, answer: Answer) -> Mapping[str, str]:
        """Give nothing, since nothing is asked."""
        return {}

    def _form(self, where: str, fields: Mapping[str, str]) -> Call:
        client = {name: self._options[name] for name in ("client_id", "client_secret")}
        return form_call(
            self._options[where], {name: value for name, value in {**fields, **client}.items() if value}
        )  # fmt: skip


def _kept(answer: Answer, before: str) -> Held:
    """Read a token answer; one without a refresh token leaves the old one in use (RFC 6749 section 6)."""
    content = answer.json()
    return Held(
        refresh_token=str(content.get("refresh_token", "")) or before,
        access_token=str(content.get("access_token", "")),
    )
