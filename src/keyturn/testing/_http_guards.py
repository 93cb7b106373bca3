"""The scenarios of the HTTP suite that are about the application's own routes: guards, hidden cookies, own logins."""

from __future__ import annotations

from ._http_stage import ACCESS, BIND, REFRESH, Stage, basic

_EVIL = (("sec-fetch-site", "cross-site"),)


def guards(stage: Stage) -> None:
    """Guarded routes with a good token, with none, with bad ones."""
    for path in ("/me", "/maybe", "/write", "/admin", "/fresh"):
        stage.ask("GET", path, note="nobody", says=())
    stage.sign_in()
    proof = f"{BIND}={stage.jar[BIND]}"
    for path in ("/me", "/maybe", "/write", "/admin", "/fresh"):
        stage.ask("GET", path, says=(), bearer="mine")
    stage.ask("POST", "/me", note="unsafe, from anywhere: nothing ambient", says=_EVIL, bearer="mine")
    for note, cookie, bearer in (
        ("no binding", "", "mine"), ("wrong binding", f"{BIND}=x", "mine"), ("doubled binding", f"{proof}; {proof}", "mine"),
        ("garbage", proof, "a.b.c"), ("empty", proof, ""), ("two words", proof, "a b"), ("refresh token", proof, stage.jar[REFRESH]),
    ):  # fmt: skip
        for path in ("/me", "/maybe"):
            stage.ask("GET", path, note=note, says=(), cookie=cookie, bearer=bearer)
    twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
    stage.ask("GET", "/me", note="two fields", says=twice)
    stage.ask("GET", "/me", note="basic", says=[basic("alice", "x")])
    stage.ask("GET", "/me", note="other case", says=[("authorization", f"bEARER  {stage.tokens['access_token']}")])
    stage.ask("GET", "/me?access_token=" + stage.tokens["access_token"], note="in the query", says=())
    stage.advance(301)
    stage.ask("GET", "/fresh", note="skew", says=(), bearer="mine")
    stage.advance(30)
    stage.ask("GET", "/me", note="expired", says=(), bearer="mine")
    stage.ask("GET", "/maybe", note="expired", says=(), bearer="mine")


def guards_with_the_access_cookie(stage: Stage) -> None:
    """The access token in a cookie: ambient, and so held to the rule against forgery."""
    stage.sign_in()
    stage.ask("GET", "/me", says=())
    stage.ask("GET", "/me", note="another page", says=_EVIL)
    stage.ask("POST", "/me")
    stage.ask("POST", "/me", note="another page", says=_EVIL)
    stage.ask("POST", "/me", note="no word", says=())
    stage.ask("GET", "/me", note="header and cookie", bearer="x")
    name = f"{ACCESS}={stage.jar[ACCESS]}"
    stage.ask("GET", "/me", note="doubled", cookie=f"{name}; {name}", keep=False)
    stage.ask("GET", "/maybe", note="doubled", cookie=f"{name}; {name}", keep=False)
    stage.ask("GET", "/auth/session")
    stage.ask("POST", "/auth/refresh")
    stage.ask("POST", "/auth/logout-all", note="another page", says=_EVIL)
    stage.ask("POST", "/auth/logout")


def hidden_cookies(stage: Stage) -> None:
    """The application never sees our cookies, nor look-alikes that its framework would take for them."""
    stage.sign_in()
    pair = f"{REFRESH}={stage.jar[REFRESH]}; {BIND}={stage.jar[BIND]}"
    for note, cookie in (
        ("ours alone", pair), ("among others", f"a=1; {pair}; b=2"), ("doubled", f"{pair}; {pair}; c=3"),
        ("unicode blank", f"\xa0{REFRESH}=planted; d=4"), ("utf-8 blank", f"\xe2\x80\x89{REFRESH}=planted; e=5"),
        ("other case", f"{REFRESH.upper()}=planted; f=6"), ("access", f"{ACCESS}=x; g=7"), ("none of ours", "h=8; kt_theme=dark"),
        ("quoted", f'"{REFRESH}"=x; i="9"'),
    ):  # fmt: skip
        stage.ask("GET", "/echo", note=note, says=(), cookie=cookie, bearer="mine")
    stage.ask("POST", "/echo", note="two fields", says=[("cookie", f"{REFRESH}=x"), ("cookie", "j=10")], cookie="")


def own_login(stage: Stage) -> None:
    """Sign-in, step-up and sign-out by the application's own routes."""
    stage.ask("GET", "/welcome", note="the way back from another site", says=_EVIL)
    stage.ask("GET", "/auth/session", note="no access token yet")
    stage.ask("POST", "/auth/refresh", note="the page fetches one")
    stage.ask("GET", "/me", says=(), bearer="mine")
    stage.ask("POST", "/raise")
    stage.ask("GET", "/me", says=(), bearer="mine")
    stage.ask("POST", "/raise", note="forged", says=_EVIL)
    stage.ask("POST", "/welcome", note="forged", says=_EVIL)
    stage.ask("POST", "/bye", note="forged", says=_EVIL)
    stage.ask("POST", "/bye")
    stage.ask("POST", "/raise", note="nobody")
