"""`keyturn serve` brings the browser client to pages, as every integration does."""

import gzip
import http.client
from contextlib import closing
from pathlib import Path

import pytest

import keyturn
from tests.support.serve_process import served

CLIENT = (Path(keyturn.__file__).parent / "client" / "client.js").read_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("server"), users={"ada": "correct horse battery"}) as server:
        yield server


def asked(server, **headers):
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as line:
        line.request("GET", "/auth/client.js", headers={key.replace("_", "-"): value for key, value in headers.items()})
        answer = line.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def test_it_is_there_plain_gzipped_and_not_again_to_who_holds_it(server):
    status, headers, body = asked(server)
    assert (status, body) == (200, CLIENT)
    assert asked(server, If_None_Match=headers["etag"])[::2] == (304, b"")
    status, headers, body = asked(server, Accept_Encoding="gzip")
    assert (status, headers["content-encoding"], gzip.decompress(body)) == (200, "gzip", CLIENT)


def test_it_has_its_name_where_requests_are_counted(server):
    asked(server)
    assert 'route="/auth/client.js"' in server.call("GET", "/metrics").text
