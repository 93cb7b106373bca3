"""The memory in front of `take_cookies` changes no answer."""

import pytest
from hypothesis import given, settings, strategies as st

from keyturn.messages import CookieTaker, take_cookies

NAMES = frozenset({"__Host-Http-kt_refresh", "__Host-Http-kt_bind"})
CRUMBS = st.sampled_from(
    [b"__Host-Http-kt_refresh=a", b"__Host-Http-kt_refresh=b", b"__Host-Http-kt_bind=c", b"theme=dark", b"kt_theme=1",
     b"\xa0__Host-Http-kt_refresh=x", b"__HOST-HTTP-KT_BIND=x", b"", b"=", b"\xff", b"t_=1", b"a=" + b"y" * 5000]
)  # fmt: skip
FIELDS = st.lists(CRUMBS, max_size=5).map(b"; ".join)
HEADERS = st.lists(st.tuples(st.sampled_from([b"cookie", b"host", b"accept"]), FIELDS), max_size=4)


def split(headers):
    """Cookie fields and all others, each in its order: where the former stand among the latter means nothing."""
    return [one for one in headers if one[0] == b"cookie"], [one for one in headers if one[0] != b"cookie"]


@pytest.mark.ids("CK-08", "CK-09", "CK-14", "M42")
@given(requests=st.lists(HEADERS, max_size=8))
@settings(max_examples=300, deadline=None)
def test_a_taker_answers_as_if_it_remembered_nothing(requests):
    taker = CookieTaker(NAMES)
    for headers in [*requests, *requests]:
        before = list(headers)
        rest, cookies = taker(headers)
        expected_rest, expected = take_cookies(headers, NAMES)
        assert (split(rest), cookies) == (split(expected_rest), expected)
        assert headers == before


@pytest.mark.ids("DS-02")
def test_its_memory_is_bounded():
    taker = CookieTaker(NAMES)
    for number in range(10_000):
        taker([(b"cookie", b"__Host-Http-kt_refresh=%d" % number)])
    assert len(taker._taken._young) + len(taker._taken._old) <= 2 * 2048


@pytest.mark.ids("ST-01")
def test_its_repr_shows_no_cookie():
    taker = CookieTaker(NAMES)
    taker([(b"cookie", b"__Host-Http-kt_refresh=verysecret")])
    assert "verysecret" not in repr(taker) + repr(taker._taken)
