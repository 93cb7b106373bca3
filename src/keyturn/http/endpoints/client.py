"""The browser client's modules: the same for everybody, and neither the store nor the clock is asked for them."""

from __future__ import annotations

from ..._client_files import is_held, shipped
from ...errors import RequestError
from ...messages import Reply, Request
from ..core import Core


async def module(_core: Core, request: Request, _last: str) -> Reply:
    """GET /client.js and the modules that it imports.

    Raises:
        RequestError: 404 ``not_found`` where this package has none of that name.
    """
    file = shipped().get(request.path.rpartition("/")[2])
    if file is None:
        raise RequestError("There is nothing at this address.", code="not_found", status=404)
    form = file.chosen(request.header_values(b"accept-encoding"))
    # Kept, but asked about each time: a page must never run half of an old client and half of a new one.
    about = (("ETag", form.etag), ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding"))
    if is_held(request.header_values(b"if-none-match"), form.etag):
        return Reply(status=304, headers=about)
    coding = (("Content-Encoding", form.coding),) if form.coding else ()
    return Reply(
        status=200, headers=(("Content-Type", "text/javascript; charset=utf-8"), *coding, *about), body=form.body
    )
