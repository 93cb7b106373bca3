"""The browser client: the same for everybody, and neither the store nor the clock is asked for it."""

from __future__ import annotations

from ..._client_files import is_held, shipped
from ...errors import RequestError
from ...messages import Reply, Request
from ..core import Core


async def script(_core: Core, request: Request, _last: str) -> Reply:
    """GET /client.js.

    Raises:
        RequestError: 404 ``not_found`` where this package came without it.
    """
    if (file := shipped()) is None:
        raise RequestError("There is nothing at this address.", code="not_found", status=404)
    form = file.chosen(request.header_values(b"accept-encoding"))
    # Kept, but asked about each time: who updates the server updates every page's client.
    about = (("ETag", form.etag), ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding"))
    if is_held(request.header_values(b"if-none-match"), form.etag):
        return Reply(status=304, headers=about)
    coding = (("Content-Encoding", form.coding),) if form.coding else ()
    return Reply(
        status=200, headers=(("Content-Type", "text/javascript; charset=utf-8"), *coding, *about), body=form.body
    )
