"""WSGI to our two values: what is left out of a guarded request, and what servers do to fields."""

import ast
from pathlib import Path

import pytest

import keyturn
from keyturn import _wsgi
from keyturn._wsgi_service import GUARDED, GUARDED_AMBIENT

FILES = ("http/guard.py", "http/credentials.py", "http/forgery.py")
#: Asked of our own routes, of WebSockets, or in development: then the whole request is given.
ELSEWHERE = {b"access-control-request-method", b"sec-websocket-protocol", b"host"}


@pytest.mark.ids("HT-01")
def test_a_guarded_request_has_every_field_that_the_guard_looks_at():
    home = Path(keyturn.__file__).parent
    named = {
        node.value
        for file in FILES
        for node in ast.walk(ast.parse((home / file).read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, bytes)
    }
    assert named - ELSEWHERE == {name for _, name in GUARDED_AMBIENT}
    assert set(GUARDED) < set(GUARDED_AMBIENT)


@pytest.mark.parametrize(("joined", "fields"), [
    ("Bearer a,Bearer b", ["Bearer a", "Bearer b"]),
    ("Bearer a, basic eA==", ["Bearer a", "basic eA=="]),
    ('Digest a="b", c="d"', ['Digest a="b", c="d"']),
    ('Digest a="b", c="d",Bearer x', ['Digest a="b", c="d"', "Bearer x"]),
    ("Bearer a,b", ["Bearer a,b"]),
    ("Bearer a", ["Bearer a"]),
])  # fmt: skip
def test_authorization_fields_that_a_server_has_joined_are_told_apart(joined, fields):
    environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "https", "HTTP_AUTHORIZATION": joined}
    assert _wsgi.request_of(environ, _wsgi.NO_COOKIES, None).header_values(b"authorization") == fields


def test_a_path_is_read_as_other_frameworks_read_it():
    assert _wsgi.path_of({"PATH_INFO": "/auth/sessions/\xc3\xa9"}) == "/auth/sessions/é"
    assert _wsgi.path_of({"PATH_INFO": "/\xff"}) == "/\ufffd"
    assert _wsgi.path_of({}) == ""


def test_fields_with_underscores_that_pose_as_the_bodys_are_left_out():
    environ = {
        "REQUEST_METHOD": "POST", "wsgi.url_scheme": "https", "HTTP_CONTENT_TYPE": "application/json",
        "HTTP_CONTENT_LENGTH": "1", "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "",
    }  # fmt: skip
    assert _wsgi.request_of(environ, _wsgi.NO_COOKIES, None).headers == [(b"content-type", b"text/plain")]
