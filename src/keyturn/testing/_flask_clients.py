"""Clients for tests of Flask applications."""

from __future__ import annotations

from typing import Any, cast

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from ..session import Transport
from ..settings import Settings
from ..tokens import TokenPair


def client(app: Flask, settings: Settings, **arguments: Any) -> FlaskClient:
    """Give Flask's client with an https address and the header Keyturn-Client.

    Args:
        app: the application; its ``test_client_class`` is kept.
        settings: whether it is development.
        arguments: ``base_url``, ``headers``, and those of Flask's ``test_client``.
    """
    address = "http://localhost" if settings.development else "https://testserver"
    base_url = arguments.pop("base_url", address)
    always = Headers({"Keyturn-Client": "testing"})
    always.update(arguments.pop("headers", {}))
    kind: Any = app.test_client_class or FlaskClient

    class Client(kind):  # type: ignore[misc]  # the application's own
        headers = always
        host = base_url

        def open(self, *args: Any, **kwargs: Any) -> TestResponse:
            """Send a request, to our address and with our headers where it names no others."""
            if args and isinstance(args[0], str) and "://" not in args[0]:
                kwargs.setdefault("base_url", self.host)
                own = Headers(kwargs.pop("headers", None))
                kwargs["headers"] = [*((k, v) for k, v in self.headers if k not in own), *own]
            answer: TestResponse = super().open(*args, **kwargs)
            return answer

    return Client(app, app.response_class, use_cookies=arguments.pop("use_cookies", True), **arguments)


def sign_in(test_client: FlaskClient, settings: Settings, pair: TokenPair, transport: Transport) -> None:
    """Give a client what a browser, or a program, holds after a sign-in."""
    given = cast("Any", test_client)
    given.headers["Authorization"] = f"Bearer {pair.access_token}"
    if transport == "cookie":
        domain = given.host.partition("://")[2].partition("/")[0].partition(":")[0]
        test_client.set_cookie(settings.refresh_cookie, pair.refresh_token, domain=domain)
        test_client.set_cookie(settings.binding_cookie, pair.binding or "", domain=domain)
