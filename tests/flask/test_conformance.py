"""The contract of the HTTP suite, byte for byte as FastAPI's, over two real WSGI servers."""

import pytest
from flask import Flask, redirect, request

from keyturn import Principal
from keyturn.flask import Keyturn
from keyturn.testing.http_conformance import HttpConformance, seen_by_the_application
from tests.support.wsgi_servers import served_by_gunicorns_parser, served_by_werkzeug

ALICE = Principal(subject="u-alice", scopes=frozenset({"read", "write"}))
PLAIN = {"content-type": "text/plain; charset=utf-8"}


def application(auth):
    app = Flask(__name__)

    @app.route("/me", methods=["GET", "POST"])
    @auth.required
    def me():
        return auth.claims.subject, PLAIN

    @app.get("/maybe")
    @auth.optional
    def maybe():
        claims = auth.get_claims()
        return claims.subject if claims else "nobody", PLAIN

    @app.get("/write")
    @auth.scopes("write")
    async def write():
        return auth.claims.subject, PLAIN

    @app.get("/admin")
    @auth.required(scopes={"admin"})
    def admin():
        return auth.claims.subject, PLAIN

    @app.get("/fresh")
    @auth.fresh
    def fresh():
        return auth.claims.subject, PLAIN

    @app.route("/echo", methods=["GET", "POST"])
    def echo():
        seen = "; ".join(request.headers.getlist("cookie"))
        return seen_by_the_application(seen, request.cookies, request.headers.get("authorization")), PLAIN

    @app.route("/welcome", methods=["GET", "POST"])
    def welcome():
        answer = auth.sign_in(ALICE, into=redirect("/home", 303))
        answer.data = b""
        del answer.headers["content-type"]
        return answer

    @app.post("/bye")
    def bye():
        answer = auth.sign_out(into=redirect("/", 303))
        answer.data = b""
        del answer.headers["content-type"]
        return answer

    @app.post("/raise")
    def raise_():
        return auth.step_up(amr=("otp",))

    auth.init_app(app)
    return app


@pytest.mark.ids(
    "CK-01", "CK-02", "CK-08", "CK-09", "CK-14", "DS-01", "HT-01", "HT-04", "HT-05", "HT-06", "M42", "M46", "M49",
    "RT-13", "SE-02", "TOK-23", "XS-01", "XS-03", "XS-06", "XS-07", "XS-09", "XS-12",
)  # fmt: skip
class TestFlask(HttpConformance):
    @classmethod
    def make_service(cls, **parts):
        return Keyturn(**parts)

    @classmethod
    def serve(cls, service):
        return served_by_werkzeug(application(service))


@pytest.mark.ids("CK-08", "CK-14", "DS-01", "HT-05")
class TestFlaskBehindGunicorn(HttpConformance):
    @classmethod
    def make_service(cls, **parts):
        return Keyturn(**parts)

    @classmethod
    def serve(cls, service):
        return served_by_gunicorns_parser(application(service))
