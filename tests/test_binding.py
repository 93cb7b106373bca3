"""The binding: 43 characters in a cookie, their digest in the row and in the access token."""

import hashlib
import re

import pytest
from hypothesis import given, strategies as st

from keyturn._binding import (
    BINDING_BYTES,
    binding_digest,
    claim_of,
    new_binding,
    presented_digest,
    proves,
)
from keyturn._jws import canonical

VALUE = new_binding(bytes(range(32)))


def test_a_value_is_256_bits_in_43_characters_that_a_cookie_may_hold():
    assert BINDING_BYTES == 32
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", VALUE)
    assert len({new_binding(bytes([n]) * 32) for n in range(256)}) == 256


def test_the_digest_is_taken_of_the_characters_as_sent():
    assert binding_digest(VALUE) == hashlib.sha256(VALUE.encode("ascii")).digest()
    assert binding_digest(VALUE) != hashlib.sha256(bytes(range(32))).digest()


def test_a_value_proves_its_own_digest_and_no_other():
    assert proves(VALUE, binding_digest(VALUE))
    assert not proves(new_binding(b"\1" * 32), binding_digest(VALUE))
    assert not proves(VALUE + "=", binding_digest(VALUE))
    assert not proves("", binding_digest(VALUE))
    assert not proves(None, binding_digest(VALUE))


def test_where_nothing_is_bound_nothing_needs_proof():
    assert proves(None, None)
    assert proves(VALUE, None)


@pytest.mark.parametrize("value", [None, "", VALUE[:-1], VALUE + "A", VALUE + "="])
def test_a_value_that_cannot_be_ours_counts_as_none(value):
    assert presented_digest(value) is None


def test_a_value_that_can_be_ours_counts_as_its_digest():
    assert presented_digest(VALUE) == binding_digest(VALUE)


@given(st.text(min_size=43, max_size=43) | st.text("\ud800\udcff é\0", min_size=43, max_size=43))
def test_no_text_from_outside_proves_a_binding_or_makes_trouble(text):
    digest = binding_digest(VALUE)
    if text != VALUE:
        assert presented_digest(text) != digest
        assert not proves(text, digest)


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_comes_back_from_its_claim(digest):
    assert canonical(claim_of(digest).encode()) == digest
    assert len(claim_of(digest)) == 43
