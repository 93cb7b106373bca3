"""`keyturn serve` brings the browser client to pages, as every integration does."""

import gzip
import http.client
import re
from contextlib import closing
from pathlib import Path

import pytest

import keyturn
from tests.support.serve_process import served

MODULES = {path.name: path.read_bytes() for path in (Path(keyturn.__file__).parent / "client").glob("client*.js")}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("server"), users={"ada": "correct horse battery"}) as server:
        yield server


def asked(server, name, **headers):
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as line:
        line.request("GET", f"/auth/{name}", headers={key.replace("_", "-"): value for key, value in headers.items()})
        answer = line.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_there_plain_gzipped_and_not_again_to_who_holds_it(server, name):
    status, headers, body = asked(server, name)
    assert (status, body) == (200, MODULES[name])
    assert asked(server, name, If_None_Match=headers["etag"])[::2] == (304, b"")
    status, headers, body = asked(server, name, Accept_Encoding="gzip")
    assert (status, headers["content-encoding"], gzip.decompress(body)) == (200, "gzip", MODULES[name])


def test_what_it_imports_is_counted_under_one_name(server):
    for name in MODULES:
        asked(server, name)
    numbers = server.call("GET", "/metrics").text
    routes = set(re.findall(r'route="(/auth/client[^"]*)"', numbers))
    assert routes == {"/auth/client.js", "/auth/client-*.js"}
