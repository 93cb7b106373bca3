"""What an application says of its users."""

import pytest

from keyturn.errors import ConfigurationError
from keyturn.users import Principal


@pytest.mark.ids("ATP-06")
@pytest.mark.parametrize(
    "scopes", [["read", "write"], ("read", "write"), {"read", "write"}, frozenset({"read", "write"})]
)
def test_scopes_come_in_any_collection_and_stay_as_they_are(scopes):
    assert Principal(subject="u-1", scopes=scopes).scopes == frozenset({"read", "write"})


@pytest.mark.ids("ATP-06")
@pytest.mark.parametrize("scopes", ["read", "read write", ["read write"], ["read\tadmin"], [""], [7], [None], None, 7])
def test_scopes_that_would_grant_something_else_are_refused(scopes):
    with pytest.raises(ConfigurationError, match="scopes"):
        Principal(subject="u-1", scopes=scopes)
