"""Bodies: bounded before they are read, strict when they are parsed, and no other type than asked for."""

import json

import pytest
from hypothesis import given, settings as example_settings, strategies as st

from keyturn._colour import drive
from keyturn.errors import RequestError
from keyturn.http import bodies
from tests.support.front import PAGE, PASSWORD, a_front, basic

LIMIT = bodies.BODY_LIMIT
JSON_ROUTES = ["/login", "/refresh", "/step-up", "/logout"]
FORM_ROUTES = ["/token", "/revoke", "/docs-token"]


def posted(path, body, content_type="application/json", *, front=None, headers=()):
    front = front or a_front()
    return front.send("POST", "/auth" + path, body=body, content_type=content_type, headers=[*PAGE, *headers])


class Wire:
    """A body that counts how much of it was taken."""

    def __init__(self, size):
        self.left = size
        self.taken = 0

    def read(self, limit):
        take = min(limit, self.left)
        self.taken += take
        self.left -= take
        return b" " * take


@pytest.mark.ids("DS-01", "HT-06")
@pytest.mark.parametrize("declared", [None, b"20000000", b"16385", b"9" * 400])
@pytest.mark.parametrize("path", JSON_ROUTES + FORM_ROUTES[:2])
def test_a_large_body_is_refused_and_never_read_beyond_the_limit(path, declared):
    front = a_front()
    kind = b"application/json" if path in JSON_ROUTES else b"application/x-www-form-urlencoded"
    headers = [*PAGE, (b"content-type", kind), *([(b"content-length", declared)] if declared else [])]
    wire = Wire(20_000_000)
    request = front.request("POST", "/auth" + path, headers=headers)._replace(read=wire.read)
    reply = drive(front.service.handle(request))
    assert reply.status == 413
    assert json.loads(reply.body)["code"] == "body_too_large"
    assert wire.taken == (0 if declared else LIMIT + 1)


@pytest.mark.ids("DS-01")
def test_a_body_of_exactly_the_limit_is_read():
    body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
    assert posted("/login", body.ljust(LIMIT)).status == 200
    assert posted("/login", body.ljust(LIMIT + 1)).seen == (413, "body_too_large")
    assert posted("/login", body.ljust(LIMIT), headers=[(b"content-length", b"16384")]).status == 200


@pytest.mark.ids("XS-03", "HT-06")
@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json",
             "application/jsonp", "application/json-seq", "text/plain; charset=application/json",
             "text/plain, application/json", "application/json, text/plain", "application/problem+json"]
)  # fmt: skip
@pytest.mark.parametrize("path", JSON_ROUTES)
def test_json_routes_take_json_only(path, kind):
    body = json.dumps({"username": "alice", "password": PASSWORD, "refresh_token": "x"}).encode()
    assert posted(path, body, kind).seen == (415, "unsupported_media_type")


@pytest.mark.ids("XS-03")
@pytest.mark.parametrize(
    "kind", ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8", "application/json ;x=y"]
)
def test_the_types_parameters_and_case_do_not_matter(kind):
    assert posted("/login", json.dumps({"username": "alice", "password": PASSWORD}).encode(), kind).status == 200


@pytest.mark.ids("XS-03")
def test_two_content_types_and_an_encoded_body_are_refused():
    body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
    assert posted("/login", body, headers=[(b"content-type", b"text/plain")]).status == 415
    assert posted("/login", body, headers=[(b"content-encoding", b"gzip")]).status == 415
    assert posted("/login", body, headers=[(b"content-encoding", b"identity")]).status == 200


@pytest.mark.ids("XS-03")
@pytest.mark.parametrize("path", FORM_ROUTES[:2])
@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_oauth_routes_take_forms_only(path, kind):
    assert posted(path, b"token=x&grant_type=refresh_token", kind).seen == (415, "unsupported_media_type")


@pytest.mark.ids("M56", "DS-01", "HT-07")
@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b'"x"', b"1", b"null", b"true", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b'{"username":NaN}',
        b'{"username":Infinity}', b'{"username":-Infinity}', b'{"username":"a","username":"a"}',
        b'{"a":{"b":1,"b":2}}', b'{"username":"\\ud800"}', b'{"username":"\xed\xa0\x80"}', b"{'username':'a'}",
        b'{"username":"a",}', b'{"a":1}{"b":2}', b'{"username":"a\nb"}', b"\x00{}", b'{"a":1e999999}'[:-1],
        '{"username":"a"}'.encode("utf-16"), b'{"a":' * 9 + b"1" + b"}" * 9, b"[" * 16000, b"{" * 5000,
        b'{"a":' + b"[" * 8 + b"]" * 8 + b"}", b'{"a":' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_is_not_strict_json_is_refused(body):
    answer = posted("/login", body)
    assert answer.seen == (400, "invalid_request")


@pytest.mark.ids("HT-07")
@pytest.mark.parametrize(
    "body",
    [
        {"username": 1, "password": "x"}, {"username": "alice", "password": ["x"]}, {"username": {"$ne": ""}, "password": "x"},
        {"username": True, "password": "x"}, {"username": "a\x00", "password": "x"}, {"username": "alice", "password": "x\x00"},
        {"username": "é" * 513, "password": "x"}, {"username": "alice", "password": "x" * 1025},
        {"username": "alice", "password": PASSWORD, "remember": "false"}, {"username": "alice", "password": PASSWORD, "remember": 0},
        {"username": "alice", "password": PASSWORD, "transport": "carrier pigeon"},
        {"username": "alice", "password": PASSWORD, "transport": 1},
        {"username": "alice", "password": PASSWORD, "scope": ["read"]}, {"username": "alice", "password": PASSWORD, "client_id": "stranger"},
        {"username": "alice", "password": PASSWORD, "device_name": 7}, {"username": "alice", "password": PASSWORD, "device_name": "x" * 2000},
        {"username": "alice", "password": PASSWORD, "refresh_token": 7}, {"username": "alice"}, {"password": "x"}, {},
        {"username": "", "password": "x"}, {"username": "alice", "password": ""}, {"username": None, "password": None},
    ],
)  # fmt: skip
def test_a_member_of_the_wrong_type_or_shape_is_refused_before_any_work(body):
    front = a_front()
    before = front.picture()
    answer = posted("/login", json.dumps(body).encode(), front=front)
    assert answer.seen == (400, "invalid_request")
    assert (front.members.hashed, front.picture()) == (0, before)


@pytest.mark.ids("HT-07")
def test_unknown_members_are_ignored_and_null_and_empty_ones_absent():
    body = {
        "username": "alice",
        "password": PASSWORD,
        "scope": "",
        "client_id": None,
        "remember": None,
        "nonsense": [{}],
    }
    answer = posted("/login", json.dumps(body).encode())
    assert (answer.status, answer.json["scope"]) == (200, "read write")


@pytest.mark.ids("HT-07")
@pytest.mark.parametrize("value", [7, True, ["kt1."], {"a": "b"}, "a\x00b", "x" * 1025])
@pytest.mark.parametrize("path", ["/refresh", "/logout"])
def test_a_refresh_token_of_the_wrong_shape_is_a_wrong_request(path, value):
    assert posted(path, json.dumps({"refresh_token": value}).encode()).seen == (400, "invalid_request")


@pytest.mark.ids("HT-07")
@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=refresh_token&grant_type=refresh_token&refresh_token=x", b"refresh_token=&refresh_token=x",
        b"token=a&token=", b"token", b"token=a&&b=c", b"token=%ff", b"token=\xc3\xa9", b"token=a%00b", b"=&=", b"a=b;c",
        b"&".join(b"a%d=1" % n for n in range(40)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/token", "/revoke"])
def test_repeated_and_malformed_form_fields_are_refused(path, body):
    answer = posted(path, body, "application/x-www-form-urlencoded")
    assert (answer.status, answer.error) == (400, "invalid_request")


@pytest.mark.ids("HT-07", "DS-01")
@given(body=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
@example_settings(max_examples=300, deadline=None)
def test_no_body_whatsoever_is_our_fault(body):
    front = a_front()
    for path in JSON_ROUTES:
        assert posted(path, body, front=front).status < 500
    for path in FORM_ROUTES[:2]:
        assert posted(path, body, "application/x-www-form-urlencoded", front=front).status < 500


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.ids("M56")
@given(value=st.dictionaries(st.text(), JSON_VALUES, max_size=6))
@example_settings(max_examples=300, deadline=None)
def test_an_object_comes_out_as_it_went_in_or_is_refused(value):
    front = a_front()
    body = json.dumps(value).encode()
    request = front.request("POST", "/auth/login", body=body, content_type="application/json")
    try:
        read = drive(bodies.json_object(request))
    except RequestError:
        assert body.count(b"[") + body.count(b"{") > 8 or b"\\ud" in body  # too deep, or half a character
    else:
        assert read == value


@pytest.mark.ids("HT-07")
@given(fields=st.dictionaries(st.text(min_size=1), st.text(min_size=1), min_size=1, max_size=6))
@example_settings(max_examples=200, deadline=None)
def test_a_form_comes_out_as_it_went_in(fields):
    try:
        front = a_front()
        request = front.request("POST", "/auth/token", form=fields)
    except UnicodeEncodeError:
        return
    if any("\x00" in value for value in fields.values()):
        with pytest.raises(RequestError):
            drive(bodies.form(request))
    else:
        assert drive(bodies.form(request)) == fields


# --- HTTP Basic ----------------------------------------------------------------------------------------------------


@pytest.mark.ids("HT-07")
@pytest.mark.parametrize(
    "value", [b"Basic", b"Basic ", b"Basic !!!!", b"Basic YQ", b"Basic YQ==", b"Basic /w==", b"Basic \xff\xff", b"Basic YTo=:",
              b"Basic YQA6Yg==", b"Basic YTo="]
)  # fmt: skip
def test_a_malformed_basic_field_is_a_wrong_request(value):
    answer = a_front().send("POST", "/auth/login", headers=[(b"authorization", value)])
    assert answer.seen == (400, "invalid_request")


@pytest.mark.ids("HT-07")
def test_a_password_may_hold_colons_and_any_character():
    assert bodies.basic(basic("alice", "a:b:ü€")[1].decode()) == ("alice", "a:b:ü€")
    assert bodies.basic("bAsIc YTpi") == ("a", "b")
    assert bodies.basic("Bearer YTpi") is None


@pytest.mark.ids("AU-03")
def test_the_bound_on_passwords_holds_for_basic_too():
    front = a_front()
    answer = front.send("POST", "/auth/login", headers=[basic("alice", "x" * 1025)])
    assert (answer.seen, front.members.hashed) == ((400, "invalid_request"), 0)
