"""The page's files: those of its folder by their plain names, and nothing that is reached by way of one."""

import pytest

from keyturn.messages import NO_COOKIES, Request
from keyturn.server.demo_files import page_file

ASKED = Request("GET", "/", "", [], NO_COOKIES, "http", "127.0.0.1", lambda _limit: b"", None)


@pytest.mark.parametrize("name", ["index.html", "page.css", "page.js"])
def test_a_file_is_given_by_its_name(name):
    reply = page_file(ASKED, name)
    assert reply is not None
    assert reply.status == 200


@pytest.mark.parametrize(
    "name",
    ["../page/index.html", "./index.html", "/etc/index.html", "index.html/", "x/../index.html", "index.html\n", ""],
)
def test_no_way_leads_out_of_the_folder_or_back_into_it(name):
    assert page_file(ASKED, name) is None
