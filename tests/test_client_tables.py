"""The [[clients]] of keyturn.toml: what they may say, and that every mistake is told at once and shows no secret."""

import hashlib

import pytest

from keyturn._client_tables import digest_fault, id_fault, read_clients
from keyturn._loading import load_configuration
from keyturn.errors import ConfigurationError
from keyturn.users import RegisteredClient

DIGEST = hashlib.sha256(b"x").hexdigest()


def faults_of(*tables):
    faults = []
    clients = read_clients(tables, faults)
    return clients, faults


def test_tables_become_clients():
    clients, faults = faults_of({"id": "shop-api", "secret_digest": DIGEST.upper()}, {"ID": "shop-app"})
    assert clients == (RegisteredClient(id="shop-api", secret_digest=DIGEST), RegisteredClient(id="shop-app"))
    assert faults == []


@pytest.mark.ids("OA-02", "ST-01")
@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({}, "number 1: it has no id"),
        ({"id": ""}, "the id '' is none"),
        ({"id": 3}, "the id 3 is none"),
        ({"id": "a b"}, "letters, digits, dots, hyphens and underscores"),
        ({"id": "a:b"}, "the id 'a:b' is none"),
        ({"id": "-a"}, "a letter or digit first"),
        ({"id": "é"}, "is none"),
        ({"id": "a\n"}, "is none"),
        ({"id": "a" * 65}, "is none"),
        ({"id": "default"}, "names no client"),
        ({"id": "Default"}, "names no client"),
        ({"id": "a", "secret_digest": "x"}, "is not 64 hexadecimal digits"),
        ({"id": "a", "secret_digest": 3}, "is not 64 hexadecimal digits"),
        ({"id": "a", "secret_digest": ""}, "is not 64 hexadecimal digits"),
        ({"id": "a", "secret_digest": DIGEST + "\n"}, "is not 64 hexadecimal digits"),
        ({"id": "a", "secret_digest": hashlib.sha256(b"").hexdigest()}, "no secret at all"),
        (
            {"id": "a", "secret_diggest": DIGEST},
            "secret_diggest is no setting of a client (did you mean secret_digest?)",
        ),
        ({"id": "a", "redirect": 1}, "redirect is no setting of a client"),
        ({"id": "a", "Id": "b"}, "given twice"),
        ({"id": "a", "secret": "hunter2"}, "secret stands there in plain text"),
        ({"id": "a", "client_secret": "hunter2"}, "client_secret stands there in plain text: write secret_digest"),
    ],
)
def test_a_mistake_is_told_where_it_stands_and_shows_no_secret(table, told):
    clients, faults = faults_of(table)
    assert clients == ()
    assert any(told in fault and fault.startswith("[[clients]] number 1: ") for fault in faults), faults
    for secret in ("hunter2", DIGEST, DIGEST.upper()):
        assert secret not in "\n".join(faults)


@pytest.mark.ids("OA-02")
def test_a_plain_secret_is_refused_with_the_way_to_its_digest():
    _, (fault,) = faults_of({"id": "a", "secret": "hunter2"})
    assert "printf %s THE-SECRET | sha256sum" in fault


def test_an_id_that_is_given_twice_is_told_at_the_second():
    clients, faults = faults_of({"id": "a"}, {"id": "b"}, {"id": "a", "secret_digest": DIGEST})
    assert faults == ["[[clients]] number 3: the id 'a' is given twice"]
    assert [client.id for client in clients] == ["a", "b"]


def test_ids_that_differ_in_case_are_two():
    clients, faults = faults_of({"id": "a"}, {"id": "A"})
    assert ([client.id for client in clients], faults) == (["a", "A"], [])


@pytest.mark.parametrize("client_id", ["a", "A1", "shop-api", "shop.api_2", "0", "a" * 64])
def test_a_plain_id_is_one(client_id):
    assert id_fault(client_id) is None


def test_a_digest_of_something_is_one():
    assert digest_fault(DIGEST) is None


def test_all_faults_of_a_file_are_told_at_once_with_its_name(tmp_path):
    path = tmp_path / "keyturn.toml"
    path.write_text(
        '[keyturn]\nissuer = "https://a.example"\nleway = "1s"\n[[clients]]\nid = "default"\n[[clients]]\nsecret = "hunter2"\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(path, environment={})
    told = "\n".join(caught.value.faults)
    for expected in (
        "leway",
        f"{path}: [[clients]] number 1: the id 'default'",
        "number 2: it has no id",
        "number 2: secret stands",
    ):
        assert expected in told
    assert "hunter2" not in told
