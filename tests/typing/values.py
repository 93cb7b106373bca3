"""The values that an application makes and reads, typed as users type them."""

from collections.abc import Mapping
from typing import Any, assert_type

from keyturn.users import Principal

somebody = Principal(subject="u-1", scopes=frozenset({"read"}), claims={"plan": "free"})

assert_type(somebody.subject, str)
assert_type(somebody.disabled, bool)
assert_type(somebody.scopes, frozenset[str])
assert_type(somebody.claims, Mapping[str, Any])
