"""The scenarios of the HTTP suite about the routes that programs of any make speak to: each asks, and is compared."""

from __future__ import annotations

from ._http_stage import APP, BIND, EVIL, PASSWORD, SECRET, Stage, basic


def oauth(stage: Stage) -> None:
    """POST /token and /revoke."""
    grant = {"grant_type": "refresh_token"}
    stage.sign_in(transport="body", client_id="shop-api")
    token = {"refresh_token": stage.tokens["refresh_token"]}
    stage.ask("POST", "/auth/token", note="wrong secret", says=[basic("shop-api", "x")], form=grant | token)
    stage.ask("POST", "/auth/token", note="no secret", says=(), form=grant | token)
    answer = stage.ask(
        "POST",
        "/auth/token",
        says=[basic("shop-api", SECRET.replace("+", "%2B").replace(" ", "+"))],
        form=grant | token,
    )
    assert answer.status == 200
    stage.ask("POST", "/auth/token", note="password grant", form={"grant_type": "password", "username": "alice"})
    stage.ask("POST", "/auth/token", note="nothing", form={})
    stage.ask("POST", "/auth/token", note="garbage", form=grant | {"refresh_token": "x"})
    stage.ask("POST", "/auth/token", note="doubled", form=[*grant.items(), *grant.items()])
    stage.ask("POST", "/auth/token", note="json", json_=grant)
    stage.sign_in()
    stage.ask("POST", "/auth/token", note="cookies are not read", form=grant)
    stage.sign_in(transport="body")
    stage.ask("POST", "/auth/revoke", note="nothing", form={})
    stage.ask("POST", "/auth/revoke", note="unknown", form={"token": "x"})
    stage.ask("POST", "/auth/revoke", form={"token": stage.tokens["refresh_token"], "token_type_hint": "access_token"})
    stage.ask("GET", "/auth/session", note="revoked", bearer="mine")


def introspection(stage: Stage) -> None:
    """POST /introspect: what is told, to whom, and the one answer to everything else."""
    proof = basic("shop-api", SECRET.replace("+", "%2B").replace(" ", "+"))
    stage.sign_in(transport="body", client_id="shop-api", scope="read")
    access, refresh = ({"token": stage.tokens[name]} for name in ("access_token", "refresh_token"))
    refusals: tuple[tuple[str, list[tuple[str, str]], dict[str, str]], ...] = (
        ("nobody", [], {}), ("public", [], {"client_id": "shop-web"}), ("wrong secret", [basic("shop-api", "x")], {}),
        ("unknown client", [basic("stranger", "x")], {}), ("malformed", [("authorization", "Basic !")], {}),
        ("secret twice", [proof], {"client_secret": SECRET}), ("secret alone", [], {"client_secret": SECRET}),
    )  # fmt: skip
    for note, says, form in refusals:
        stage.ask("POST", "/auth/introspect", note=note, says=says, form=access | form)
    stage.ask("POST", "/auth/introspect", note="access token", says=[proof], form=access)
    stage.ask("POST", "/auth/introspect", note="refresh token", says=[proof], form=refresh | {"token_type_hint": "x"})
    in_form = {"client_id": "shop-api", "client_secret": SECRET}
    stage.ask("POST", "/auth/introspect", note="secret in the form", says=(), form=access | in_form)
    stage.ask("POST", "/auth/introspect", note="no token", says=[proof], form={})
    stage.ask("POST", "/auth/introspect", note="unknown", says=[proof], form={"token": "x"})
    stage.ask("POST", "/auth/introspect", note="another origin", says=[proof, ("origin", APP)], form=access)
    preflight = [("origin", APP), ("access-control-request-method", "POST")]
    stage.ask("OPTIONS", "/auth/introspect", note="a page asks", says=preflight, cookie="")
    _introspect_others(stage, proof)
    stage.advance(331)
    stage.ask("POST", "/auth/introspect", note="expired", says=[proof], form=access)
    stage.store.away = True
    stage.ask("POST", "/auth/introspect", note="away", says=[proof], form=refresh)
    stage.store.away = False
    stage.ask("POST", "/auth/revoke", says=[proof], form=refresh)
    stage.ask("POST", "/auth/introspect", note="revoked", says=[proof], form=refresh)


def _introspect_others(stage: Stage, proof: tuple[str, str]) -> None:
    stage.sign_in(transport="body")
    stage.ask(
        "POST",
        "/auth/introspect",
        note="another client's access token",
        says=[proof],
        form={"token": stage.tokens["access_token"]},
    )
    stage.ask(
        "POST",
        "/auth/introspect",
        note="another client's refresh token",
        says=[proof],
        form={"token": stage.tokens["refresh_token"]},
    )
    stage.sign_in()
    bound = {"token": stage.tokens["access_token"]}
    stage.ask("POST", "/auth/introspect", note="bound", says=[proof], form=bound)
    forwarded = [proof, ("keyturn-binding", stage.jar[BIND])]
    stage.ask("POST", "/auth/introspect", note="bound, proof forwarded", says=forwarded, form=bound, cookie="")


def documentation(stage: Stage) -> None:
    """POST /docs-token, where it is on."""
    form = {"username": "alice", "password": PASSWORD, "grant_type": "password"}
    stage.ask("POST", "/auth/docs-token", form=form)
    stage.ask("POST", "/auth/docs-token", note="wrong", form=form | {"password": "no"})
    stage.ask("POST", "/auth/docs-token", note="another page", says=EVIL, form=form)
