"""A stranger's page, shown in a frame that belongs to no origin, which posts a form to sign the visitor out.

What it tries is seen by `watched`: what the browser said of it, which cookies came along, and what was answered.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from typing import Final

from .._asgi import App, Message, Receive, Scope, Send
from ..messages import Reply, Request
from ..settings import Settings
from ..starlette import Keyturn
from .blanking import blanked
from .demo_asking import Heard, now
from .demo_events import EventRing

#: Of a host and its port, nothing that could end a word of a policy or of the page.
_HOST: Final = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-f:]+\](:[0-9]{1,5})?")
_SCRIPT: Final = "document.forms[0].submit()"
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A stranger's page</title>
<style>{style}</style>
</head>
<body>
<p>You have won! This page belongs to a stranger. It has just sent, without being asked:</p>
<p><code>POST {path}</code></p>
<form method="post" action="{action}" target="answer"><button>Send it again</button></form>
<iframe name="answer" title="The answer" hidden></iframe>
<script>{script}</script>
</body>
</html>
"""
_STYLE: Final = "body{font:16px/1.5 sans-serif;margin:12px;color:#222;background:#fff}button{font:inherit}"
#: Longer says nothing more.
_LONGEST_ORIGIN: Final = 100


def stranger(request: Request, settings: Settings) -> Reply:
    """Give the page. It has no origin of its own, also where it is opened by itself, and may be framed by us alone."""
    host = (request.header(b"host") or "").lower()
    here = f"{request.scheme}://{host}" if _HOST.fullmatch(host) else settings.issuer
    # A policy has no words for an IPv6 address (CSP3 section 2.3.1), and one that browsers cannot read lets nothing out.
    goal = f"{request.scheme}:" if "[" in here else here
    path = settings.prefix + "/logout"
    policy = (
        f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; form-action {goal}; "
        f"frame-src {goal}; frame-ancestors 'self'; base-uri 'none'; sandbox allow-forms allow-scripts"
    )
    body = _PAGE.format(style=_STYLE, script=_SCRIPT, path=path, action=here + path)
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return Reply(status=200, headers=headers, body=body.encode())


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}'"


def is_strange(scope: Scope, settings: Settings) -> bool:
    """Say whether this is a sign-out that a page of another site has sent."""
    if scope["method"] != "POST" or scope["path"] != settings.prefix + "/logout":
        return False
    fields = dict(scope["headers"])
    return fields.get(b"sec-fetch-site", b"same-origin") != b"same-origin" or fields.get(b"origin") == b"null"


async def watched(
    app: App, auth: Keyturn, events: EventRing, scope: Scope, receive: Receive, send: Send
) -> None:  # fmt: skip
    """Let an application answer such a request, and tell what came of it."""
    heard = Heard()

    async def passed(message: Message) -> None:
        await heard.hear(message)
        await send(message)

    await app(scope, receive, passed)
    fields = dict(scope["headers"])
    detail = {
        "method": scope["method"],
        "path": auth.settings.prefix + "/logout",
        "site": blanked(fields.get(b"sec-fetch-site", b"").decode("latin-1"))[:_LONGEST_ORIGIN],
        "origin": blanked(fields.get(b"origin", b"").decode("latin-1"))[:_LONGEST_ORIGIN],
        "cookies": sorted(auth.take_cookies(scope["headers"])[1].values),
        "status": heard.status,
        "code": heard.member("code"),
    }
    events.add("StrangerAsked", at=now(auth).isoformat(), detail=detail)
