"""A page's token in a WebSocket handshake is found however the server tells what was offered."""

import pytest

from keyturn import _asgi
from keyturn.http import credentials
from keyturn.keyrings.static import testing_keys
from keyturn.settings import Settings
from keyturn.starlette import Keyturn
from keyturn.stores.memory import MemoryStore
from tests.support.front import Members

FIELD = (b"sec-websocket-protocol", b"keyturn, a.b.c")


@pytest.mark.parametrize(
    ("headers", "offered", "found"),
    [
        ([FIELD], ["keyturn", "a.b.c"], "a.b.c"),
        ([], ["keyturn", "a.b.c"], "a.b.c"),  # servers over wsproto take the field out
        ([FIELD], [], "a.b.c"),
        ([], ["chat", "keyturn"], None),
        ([], [], None),
    ],
)
def test_the_token_is_found_in_the_header_or_in_what_the_server_made_of_it(
    headers: list[tuple[bytes, bytes]], offered: list[str], found: str | None
) -> None:
    settings = Settings(profile="testing")
    auth = Keyturn(settings, store=MemoryStore(), keys=testing_keys(), users=Members())
    scope = {"type": "websocket", "path": "/live", "headers": headers, "subprotocols": offered}
    credential = credentials.access_token(_asgi.request_of(auth, scope, None), settings)
    assert (credential and credential.token) == found
