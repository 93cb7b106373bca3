"""A fleet of clients, thieves and a bad network against any server that turns refresh tokens; and a judge.

Run it as ``python -m keyturn.testing.torture URL --user NAME --report FILE``; ``--help`` explains. It needs the
``server`` extra. Another product is tried through an `Adapter`.
"""

from ._adapter import (
    Adapter as Adapter,
    Answer as Answer,
    Call as Call,
    Held as Held,
    Outcome as Outcome,
    Refreshed as Refreshed,
    Send as Send,
    SignInError as SignInError,
    User as User,
    form_call as form_call,
    json_call as json_call,
    taking_cookies as taking_cookies,
)

__all__ = [
    "Adapter",
    "Answer",
    "Call",
    "Held",
    "Outcome",
    "Refreshed",
    "Send",
    "SignInError",
    "User",
    "form_call",
    "json_call",
    "taking_cookies",
]
