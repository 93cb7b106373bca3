"""The scenarios of the HTTP suite that are about our own routes: each asks, and what is answered is compared."""

from __future__ import annotations

from typing import Any

from ._http_stage import ACCESS, APP, BIND, EVIL, PAGE, PASSWORD, PROGRAM, REFRESH, Stage, basic

_POST_ROUTES = ("login", "refresh", "step-up", "logout", "logout-all", "token", "revoke", "introspect")
_GET_ROUTES = ("session", "sessions", "jwks.json", "client.js")


def sign_in(stage: Stage) -> None:
    """POST /login, and each of its refusals."""
    hows: tuple[dict[str, Any], ...] = (
        {},
        {"remember": False},
        {"transport": "body"},
        {"scope": "read"},
        {"device_name": "phone"},
    )
    for how in hows:
        stage.sign_in(**how)
    stage.ask("POST", "/auth/login", note="basic", says=[basic("alice", PASSWORD)])
    stage.ask("POST", "/auth/login", note="basic, wrong", says=[basic("alice", "no")])
    stage.ask("POST", "/auth/login", note="basic, malformed", says=[("authorization", "Basic !")])
    for username, password in (("alice", "no"), ("nobody", PASSWORD), ("mallory", PASSWORD), ("throttled", PASSWORD)):
        stage.ask("POST", "/auth/login", note=username, json_={"username": username, "password": password})
    for wrong in ({"scope": "admin"}, {"transport": "pigeon"}, {"client_id": "stranger"}, {"remember": "no"}):
        stage.sign_in(**wrong)
    stage.ask("POST", "/auth/login", note="nothing", json_={})
    stage.ask("POST", "/auth/login", note="forged", says=EVIL, json_={"username": "alice", "password": PASSWORD})


def sign_in_again(stage: Stage) -> None:
    """What a login request brings along is never adopted."""
    stage.sign_in()
    mine = stage.jar | {}
    stage.sign_in("bob")
    stage.jar = mine | {}
    stage.ask("POST", "/auth/refresh", note="alice is still signed in")
    stage.sign_in()
    stage.ask("POST", "/auth/refresh", note="the session before", cookie=_cookie(mine), keep=False)
    planted = f"{REFRESH}=planted; {BIND}=planted; {ACCESS}=planted"
    stage.ask("POST", "/auth/login", note="planted", cookie=planted, json_={"username": "alice", "password": PASSWORD})


def session_limit(stage: Stage) -> None:
    """409 where the limit refuses."""
    stage.sign_in(transport="body")
    stage.advance(1)
    stage.sign_in(transport="body")


def refresh_with_cookies(stage: Stage) -> None:
    """POST /refresh in a browser."""
    stage.ask("POST", "/auth/refresh", note="nothing")
    stage.sign_in()
    first = stage.jar | {}
    stage.ask("POST", "/auth/refresh")
    stage.ask("POST", "/auth/refresh", note="a retry", cookie=_cookie(first))
    stage.advance(60)
    stage.ask("POST", "/auth/refresh", json_={"scope": "read"}, bearer="expired")
    stage.ask("POST", "/auth/refresh", note="two sources", json_={"refresh_token": "x"})
    stage.ask("POST", "/auth/refresh", note="a scope not held", json_={"scope": "admin"})
    stage.ask("POST", "/auth/refresh", note="a wrong type", cookie="", json_={"refresh_token": 1})
    stage.ask("POST", "/auth/refresh", note="forged value", cookie=f"{REFRESH}=kt1.x", keep=False)
    stage.ask("POST", "/auth/refresh", note="forged request", says=EVIL)
    stage.ask("POST", "/auth/refresh", note="no word", says=())
    stage.ask("POST", "/auth/refresh", note="a program", says=PROGRAM)
    stage.ask("POST", "/auth/refresh", note="configured origin", says=[("origin", APP)])
    stage.ask("POST", "/auth/refresh", note="no binding", cookie=f"{REFRESH}={stage.jar[REFRESH]}", keep=False)
    stage.ask("GET", "/auth/session", bearer="mine")
    stage.ask("POST", "/auth/refresh", note="spent", cookie=_cookie(first), keep=False)
    stage.ask("GET", "/auth/session", note="after the alarm", bearer="mine")
    stage.ask("POST", "/auth/refresh", note="after the alarm")


def refresh_with_bodies(stage: Stage) -> None:
    """POST /refresh of a program."""
    stage.sign_in(transport="body")
    for note in ("first", "second"):
        stage.ask("POST", "/auth/refresh", note=note, says=(), json_={"refresh_token": stage.tokens["refresh_token"]})
    stage.ask("POST", "/auth/refresh", note="garbage", says=(), json_={"refresh_token": "garbage"})
    stage.ask("POST", "/auth/refresh", note="empty", says=(), json_={"refresh_token": ""})
    stage.sign_in(transport="body", client_id="shop-api")
    stage.ask("POST", "/auth/refresh", note="confidential", json_={"refresh_token": stage.tokens["refresh_token"]})


def cookies_of_every_shape(stage: Stage) -> None:
    """Our cookies doubled, disguised, quoted, split over fields, among others."""
    stage.sign_in()
    token, proof = stage.jar[REFRESH], stage.jar[BIND]
    pair = f"{REFRESH}={token}; {BIND}={proof}"
    for note, cookie in (
        ("among others", f"a=1; {pair}; b=2"), ("no blanks", pair.replace("; ", ";")), ("tabs", pair.replace("; ", ";\t")),
        ("doubled token", f"{pair}; {REFRESH}=other"), ("doubled alike", f"{pair}; {REFRESH}={token}"),
        ("doubled binding", f"{pair}; {BIND}=other"), ("quoted", f'{REFRESH}="{token}"; {BIND}="{proof}"'),
        ("unicode blank", f"\xa0{REFRESH}={token}; {BIND}={proof}"), ("ideographic blank", f"\xe3\x80\x80{pair}"),
        ("other case", pair.lower()), ("version", f"$Version=1; {pair}"), ("empty", f"{REFRESH}=; {BIND}="),
        ("comma", pair.replace("; ", ", ")), ("no prefix", pair.replace("__Host-Http-", "")),
        ("look-alike beside", f"{pair}; \xa0{REFRESH}=planted"),
    ):  # fmt: skip
        stage.ask("POST", "/auth/refresh", note=note, cookie=cookie, keep=False)
    fields = [*PAGE, ("cookie", f"{REFRESH}={token}"), ("cookie", f"{BIND}={proof}")]
    stage.ask("POST", "/auth/refresh", note="two fields", says=fields, cookie="", keep=False)


def step_up(stage: Stage) -> None:
    """POST /step-up."""
    stage.sign_in()
    old = stage.tokens["access_token"]
    stage.ask("POST", "/auth/step-up", note="wrong", bearer="mine", json_={"password": "no"})
    stage.ask("POST", "/auth/step-up", note="no password", bearer="mine", json_={})
    stage.ask("POST", "/auth/step-up", note="nobody", json_={"password": PASSWORD})
    stage.ask("POST", "/auth/step-up", note="forged", says=EVIL, bearer="mine", json_={"password": PASSWORD})
    stage.ask("POST", "/auth/step-up", bearer="mine", json_={"password": PASSWORD})
    stage.ask("GET", "/auth/session", note="an older token", bearer=old)
    stage.sign_in(transport="body")
    body = {"password": PASSWORD, "refresh_token": stage.tokens["refresh_token"]}
    stage.ask("POST", "/auth/step-up", note="body", cookie="", bearer="mine", json_=body)


def sign_out(stage: Stage) -> None:
    """POST /logout and /logout-all."""
    stage.sign_in()
    mine = stage.jar | {}
    stage.ask("POST", "/auth/logout", note="forged", says=EVIL)
    stage.ask("POST", "/auth/logout", note="forged, cookies kept back", says=EVIL, cookie="")
    stage.ask("POST", "/auth/logout", bearer="mine")
    stage.ask("POST", "/auth/logout", note="again", cookie=_cookie(mine))
    stage.ask("POST", "/auth/logout", note="nothing")
    stage.ask("GET", "/auth/session", note="after it", bearer="mine", cookie=_cookie(mine))
    stage.ask("POST", "/auth/refresh", note="after it", cookie=_cookie(mine))
    stage.sign_in(transport="body")
    token = {"refresh_token": stage.tokens["refresh_token"]}
    stage.ask("POST", "/auth/logout", note="body", says=(), json_=token)
    for _ in range(2):
        stage.sign_in()
    stage.ask("POST", "/auth/logout-all", note="nobody")
    stage.ask("POST", "/auth/logout-all", bearer="mine")


def sessions(stage: Stage) -> None:
    """GET /session, GET and DELETE /sessions."""
    stage.sign_in("bob", transport="body")
    bob = stage.tokens["session_id"]
    stage.sign_in(transport="body", device_name="phone")
    phone = stage.tokens["session_id"]
    stage.sign_in(transport="body")
    stage.sign_in()
    stage.ask("GET", "/auth/session", bearer="mine")
    stage.ask("GET", "/auth/session", note="query is not looked at", cookie="")
    stage.ask("GET", "/auth/session?access_token=" + stage.tokens["access_token"], note="in the query")
    stage.ask("GET", "/auth/sessions", bearer="mine")
    for note, one in (("another user's", bob), ("unknown", "A" * 22), ("nonsense", "%00"), ("another of mine", phone)):
        stage.ask("DELETE", f"/auth/sessions/{one}", note=note, bearer="mine")
    stage.ask("DELETE", "/auth/sessions", bearer="mine")
    stage.advance(901)
    stage.ask("POST", "/auth/refresh")
    stage.ask("DELETE", "/auth/sessions", note="no recent sign-in", bearer="mine")
    stage.ask("DELETE", f"/auth/sessions/{stage.tokens['session_id']}", note="my own", bearer="mine")


def public(stage: Stage) -> None:
    """Keys and metadata; docs-token where it is off."""
    for path in ("/auth/jwks.json", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server"):
        stage.ask("GET", path)
        stage.ask("HEAD", path)
        stage.ask("POST", path)
    stage.ask("POST", "/auth/docs-token", form={"username": "alice", "password": PASSWORD})


def browser_client(stage: Stage) -> None:
    """GET /client.js: in the form that is taken, not again to who holds it, and nothing beside it."""
    path, zipped = "/auth/client.js", ("accept-encoding", "gzip")
    plain = stage.ask("GET", path)
    small = stage.ask("GET", path, note="gzip", says=[zipped])
    for note, fields in (
        ("gzip refused", [("accept-encoding", "gzip;q=0, *")]), ("held", [("if-none-match", plain.value("etag") or "")]),
        ("held and weakened", [("if-none-match", f'W/"x", W/{plain.value("etag")}')]),
        ("held, gzip", [zipped, ("if-none-match", small.value("etag") or "")]),
        ("the other form held", [zipped, ("if-none-match", plain.value("etag") or "")]),
        ("an old one held", [("if-none-match", '"old"')]), (APP, [("origin", APP)]),
        ("another origin", [("origin", "https://evil.example")]),
    ):  # fmt: skip
        for method in ("GET", "HEAD"):
            stage.ask(method, path, note=note, says=fields)
    others = "client-nope.js Client.js client.js/ client/../client.js client/client.js package.json"
    for name in others.split():
        stage.ask("GET", f"/auth/{name}")


def methods(stage: Stage) -> None:
    """HEAD, OPTIONS, 404, 405 and Allow."""
    stage.sign_in()
    for route in (*_POST_ROUTES, *_GET_ROUTES, "sessions/x"):
        for method in ("HEAD", "OPTIONS", "PUT", "TRACE", "GET" if route in _POST_ROUTES else "POST"):
            stage.ask(method, f"/auth/{route}", bearer="mine")
    for path in ("/auth", "/auth/", "/auth/nope", "/auth/login/", "/auth//login", "/auth/sessions/a/b", "/auth/%6Eope"):
        for method in ("GET", "POST", "HEAD", "OPTIONS"):
            stage.ask(method, path)


def bodies(stage: Stage) -> None:
    """Media types, malformed JSON, and 20 MB that nobody reads."""
    good = b'{"username":"alice","password":"x"}'
    for kind in (None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"):
        stage.ask("POST", "/auth/login", note=str(kind), raw=(kind, good))
    for body in (b"{", b"[]", b"\xff", b'{"a":NaN}', b'{"a":1,"a":1}', b"[" * 9000, b'{"username":"\\ud800"}'):
        stage.ask("POST", "/auth/login", note=ascii(body[:24]), raw=("application/json", body))
    stage.ask("POST", "/auth/login", note="just too long", raw=("application/json", good.ljust(16 * 1024 + 1)))
    stage.ask("POST", "/auth/login", note="just short enough", raw=("application/json", good.ljust(16 * 1024)))
    for declared in (True, False):
        taken = stage.flood("/auth/login", note=f"20 MB, declared: {declared}", declared=declared)
        assert taken < 15_000_000, f"{taken} bytes were taken of a body that may have 16 KiB"
    stage.flood("/auth/token", note="20 MB form", kind="application/x-www-form-urlencoded", declared=True)


def cross_origin(stage: Stage) -> None:
    """CORS: preflights and answers, for origins of ours and others."""
    stage.sign_in()
    wants = ("access-control-request-method", "POST")
    for origin in (APP, "https://id.example.org", "https://evil.example", "null", APP + ".evil.example"):
        for path in ("/auth/login", "/auth/nope", "/auth/jwks.json"):
            stage.ask("OPTIONS", path, note=origin, says=[("origin", origin), wants], cookie="")
        stage.ask("GET", "/auth/session", note=origin, says=[("origin", origin)], bearer="mine")
        stage.ask("POST", "/auth/refresh", note=origin, says=[("origin", origin)])
    for site in ("same-origin", "same-site", "cross-site", "none"):
        stage.ask("POST", "/auth/refresh", note=site, says=[("sec-fetch-site", site)])


def store_trouble(stage: Stage) -> None:
    """A store that does not answer: 503, and the cookies stay."""
    stage.sign_in()
    stage.ask("GET", "/me", bearer="mine")
    stage.store.away = True
    stage.advance(60)
    for route in ("refresh", "logout", "logout-all", "step-up"):
        stage.ask("POST", f"/auth/{route}", note="away", bearer="mine", json_={"password": PASSWORD})
    for method, route in (("GET", "sessions"), ("DELETE", "sessions"), ("GET", "session")):
        stage.ask(method, f"/auth/{route}", note="away", bearer="mine")
    stage.ask(
        "POST", "/auth/token", note="away", form={"grant_type": "refresh_token", "refresh_token": stage.jar[REFRESH]}
    )
    stage.ask("GET", "/me", note="reading goes on", bearer="mine")
    stage.ask("POST", "/me", note="writing does not", bearer="mine")
    stage.ask("POST", "/auth/login", note="away", json_={"username": "alice", "password": PASSWORD})
    stage.store.away = False
    stage.ask("POST", "/auth/refresh", note="back again")


def development(stage: Stage) -> None:
    """The development profile: no prefix, no Secure, this machine only."""
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "evil.example"):
        says = [*PAGE, ("host", host)]
        stage.ask("POST", "/auth/login", note=host, says=says, json_={"username": "alice", "password": PASSWORD})
        stage.ask("GET", "/me", note=host, says=[("host", host)], bearer="mine")
    says = [("host", "localhost"), ("origin", "http://localhost:5173")]
    stage.ask("POST", "/auth/refresh", note="loopback origin", says=says)


def embedded(stage: Stage) -> None:
    """SameSite=None, Partitioned, and a suffix."""
    stage.sign_in()
    stage.ask("POST", "/auth/refresh")
    name = f"{REFRESH}_x"
    stage.ask("POST", "/auth/refresh", note="doubled", cookie=f"{name}=a; {name}=b", keep=False)
    stage.ask("POST", "/auth/logout")


def _cookie(jar: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in jar.items())
