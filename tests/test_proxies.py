"""Forwarded fields count from configured proxies only, and what cannot be read is nobody's word."""

import logging

import pytest

from keyturn import ConfigurationError
from keyturn._proxies import Proxies, UnnamedProxy, read_proxies
from keyturn.messages import NO_COOKIES, Request

PROXY, OTHER_PROXY, CLIENT, STRANGER = "10.0.0.1", "10.9.9.9", "203.0.113.7", "198.51.100.66"
TRUSTED = read_proxies(["10.0.0.0/8", "2001:db8:aaaa::/48"])


def a_request(peer=PROXY, *, scheme="http", websocket=False, **fields):
    headers = []
    for name, given in fields.items():
        values = [given] if isinstance(given, str) else given
        headers += [(name.replace("_", "-").encode(), value.encode("latin-1")) for value in values]
    return Request("GET", "/", "", headers, NO_COOKIES, scheme, peer, lambda limit: b"", None, websocket)


def seen(proxies: Proxies = TRUSTED, **more):
    return proxies.seen_through(a_request(**more))


@pytest.mark.ids("HT-08")
@pytest.mark.parametrize(
    ("written", "client"),
    [
        (CLIENT, CLIENT),
        (f"{STRANGER}, {CLIENT}", CLIENT),  # the client wrote the first itself
        (f"{CLIENT}, {OTHER_PROXY}", CLIENT),
        (f"{STRANGER}, {CLIENT}, {OTHER_PROXY}, 10.1.1.1", CLIENT),
        ([STRANGER, f"{CLIENT}, {OTHER_PROXY}"], CLIENT),  # two fields are one list
        ([f"{STRANGER}, {CLIENT}", OTHER_PROXY], CLIENT),
        (f"{CLIENT}:51234", CLIENT),
        (f' "{CLIENT}" ', CLIENT),
        ("2001:db8:1::7", "2001:db8:1::7"),
        ("[2001:db8:1::7]:443", "2001:db8:1::7"),
        ('"[2001:db8:1::7]"', "2001:db8:1::7"),
        ("2001:DB8:1:0::7", "2001:db8:1::7"),
        ("fe80::1%eth0", "fe80::1"),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"{CLIENT}, 2001:db8:aaaa::5", CLIENT),
        (f"{OTHER_PROXY}, 10.2.2.2", OTHER_PROXY),  # a client inside our own network
    ],
)
def test_the_client_is_the_rightmost_hop_that_is_no_proxy_of_ours(written, client):
    assert seen(x_forwarded_for=written).peer == client


@pytest.mark.ids("HT-08")
@pytest.mark.parametrize(
    "written", ["", "unknown", "_hidden", "evil.example", "1.2.3", "1.2.3.4.5", ",", "\xa0", "::g", "[::1", "256.1.1.1"]
)
def test_what_is_no_address_leaves_the_hop_that_wrote_it(written):
    assert seen(x_forwarded_for=written).peer in {PROXY, "::1"}
    assert seen(x_forwarded_for=f"{CLIENT}, {written}, {OTHER_PROXY}").peer in {OTHER_PROXY, "::1"}


@pytest.mark.ids("HT-08")
@pytest.mark.parametrize("peer", [STRANGER, "11.0.0.1", "", "testclient", "2001:db8:aaab::1"])
def test_whoever_is_no_proxy_of_ours_is_not_believed(peer):
    spoofed = a_request(
        peer, x_forwarded_for=CLIENT, x_forwarded_proto="https", x_forwarded_host="evil.example",
        forwarded=f"for={CLIENT}", x_real_ip=CLIENT, host="id.example.org",
    )  # fmt: skip
    assert TRUSTED.seen_through(spoofed) is spoofed


@pytest.mark.ids("HT-08")
def test_a_mapped_address_of_a_proxy_is_its_own():
    assert seen(peer=f"::ffff:{PROXY}", x_forwarded_for=CLIENT).peer == CLIENT


@pytest.mark.ids("HT-08")
def test_a_proxy_that_comes_by_a_socket_is_trusted_by_its_word():
    sockets = read_proxies(["unix"])
    assert seen(sockets, peer="", x_forwarded_for=CLIENT).peer == CLIENT
    assert seen(sockets, peer=PROXY, x_forwarded_for=CLIENT).peer == PROXY


@pytest.mark.ids("HT-08")
def test_the_other_standard_field_is_not_read():
    assert seen(forwarded=f"for={CLIENT}").peer == PROXY


@pytest.mark.ids("HT-08")
@pytest.mark.parametrize(
    ("written", "websocket", "scheme"),
    [("https", False, "https"), ("HTTPS", False, "https"), ("http, https", False, "https"), ("https", True, "wss"),
     ("gopher", False, "http"), ("", False, "http"), ("https, http", True, "ws")],
)  # fmt: skip
def test_the_scheme_is_what_the_proxy_says(written, websocket, scheme):
    before = "ws" if websocket else "http"
    assert seen(x_forwarded_proto=written, scheme=before, websocket=websocket).scheme == scheme


@pytest.mark.ids("HT-08")
def test_the_host_is_what_the_proxy_says():
    request = seen(x_forwarded_host=["evil.example", "a.example, id.example.org"], host="backend:8000")
    assert request.header_values(b"host") == ["id.example.org"]
    assert seen(host="backend:8000").header_values(b"host") == ["backend:8000"]


@pytest.mark.ids("HT-08")
def test_a_long_field_of_proxies_costs_a_bounded_number_of_steps():
    chain = ", ".join([CLIENT, *["10.0.0.9"] * 5000])
    assert seen(x_forwarded_for=chain).peer == "10.0.0.9"


def test_what_is_no_network_is_refused_and_all_of_it_told():
    with pytest.raises(ConfigurationError) as caught:
        read_proxies(["10.0.0.0/8", "10.0.0.1/8", "proxy.example", ""])
    assert len(caught.value.faults) == 3
    assert "has host bits set" in caught.value.faults[0]


def test_a_single_text_is_one_proxy_and_no_list_of_letters():
    assert read_proxies("10.0.0.1") == read_proxies(["10.0.0.1"])


def test_nobody_is_trusted_unless_named():
    assert not read_proxies([])
    assert read_proxies(["unix"])
    assert TRUSTED


def told_of(caplog, **more):
    caplog.clear()
    with caplog.at_level(logging.WARNING, "keyturn"):
        UnnamedProxy().look_at(a_request(**more))
    return bool(caplog.records)


@pytest.mark.ids("HT-08")
@pytest.mark.parametrize("peer", [PROXY, "127.0.0.1", ""])
def test_a_proxy_that_nobody_named_is_noticed_by_its_fields(caplog, peer):
    assert told_of(caplog, peer=peer, x_forwarded_for=CLIENT)
    assert told_of(caplog, peer=peer, forwarded=f'by={STRANGER};for="{CLIENT}:4711"')
    assert not told_of(caplog, peer=peer)


@pytest.mark.ids("HT-08")
@pytest.mark.parametrize("peer", [CLIENT, "2001:db8::7"])
def test_a_server_that_has_read_the_fields_itself_gives_no_reason_to_warn(caplog, peer):
    assert not told_of(caplog, peer=peer, x_forwarded_for=f"{STRANGER}, {peer}")
    assert not told_of(caplog, peer=peer, forwarded=f'for={STRANGER}, for="[{peer}]:4711";proto=https')


@pytest.mark.ids("HT-08", "AU-08")
@pytest.mark.parametrize(
    ("proxies", "client", "counted"),
    [
        ([], "127.0.0.1", ""),
        ([], "::1", ""),
        ([], "", ""),
        ([], CLIENT, CLIENT),
        ([], PROXY, PROXY),
        ([], "testclient", "testclient"),
        (["10.0.0.0/8"], "127.0.0.1", ""),  # one that was named does not stand for one that was not
        (["127.0.0.0/8"], "127.0.0.1", "127.0.0.1"),
    ],
)
def test_who_comes_from_this_machine_and_was_not_named_is_counted_under_no_address(proxies, client, counted):
    assert read_proxies(proxies).counted_as(client) == counted
