"""`keyturn clients`: registered programs, whose secrets are printed once and kept nowhere."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keyturn._colour import drive
from keyturn.server.records import ClientRecord
from tests.support.command_home import Home

IN_THE_FILE = f"""
[[clients]]
id = "shop-api"
secret_digest = "{hashlib.sha256(b"secret").hexdigest()}"
[[clients]]
id = "phone-app"
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def kept(home: Home) -> list[ClientRecord]:
    with home.opened() as opened:
        return list(drive(opened.records.clients()))


@pytest.mark.ids("OA-04")
def test_a_secret_is_printed_alone_and_once_and_its_digest_is_all_that_is_kept(home: Home) -> None:
    done = home.run("clients", "add", "shop-api", "--name", "The shop")
    secret = done.stdout.removesuffix("\n")
    assert len(secret) == 43
    assert secret not in done.stderr
    assert "shop-api is registered" in done.stderr
    (client,) = kept(home)
    assert (client.id, client.name) == ("shop-api", "The shop")
    assert client.secret_digest == hashlib.sha256(secret.encode()).hexdigest()
    assert secret.encode() not in (home.folder / "keyturn.db").read_bytes()
    for words in (["list"], ["list", "--json"]):
        assert secret not in home.run("clients", *words).output
        assert client.secret_digest not in home.run("clients", *words).output
    assert home.run("clients", "add", "other").stdout != done.stdout


@pytest.mark.ids("OA-04")
def test_a_public_one_has_no_secret(home: Home) -> None:
    done = home.run("clients", "add", "phone-app", "--public")
    assert done.stdout == ""
    assert "public" in done.stderr
    assert [client.secret_digest for client in kept(home)] == [None]


def test_a_list_tells_those_of_the_file_from_those_of_the_database(tmp_path: Path) -> None:
    home = Home(tmp_path, more=IN_THE_FILE)
    home.run("clients", "add", "reports", "--name", "Reports")
    rows = home.rows("clients", "list")
    created = rows[2].pop("created_at")
    assert created.endswith("Z")
    assert rows == [
        {"id": "shop-api", "public": False, "name": "", "source": "file", "created_at": None},
        {"id": "phone-app", "public": True, "name": "", "source": "file", "created_at": None},
        {"id": "reports", "public": False, "name": "Reports", "source": "database"},
    ]
    head, shop, phone, reports = home.run("clients", "list").stdout.splitlines()
    assert head.split() == ["ID", "PUBLIC", "NAME", "SOURCE", "CREATED", "AT"]
    assert [line.split()[:4] for line in (shop, phone, reports)] == [
        ["shop-api", "no", "-", "file"], ["phone-app", "yes", "-", "file"], ["reports", "no", "Reports", "database"],
    ]  # fmt: skip


def test_one_that_came_into_the_file_later_hides_that_of_the_database(tmp_path: Path) -> None:
    Home(tmp_path).run("clients", "add", "shop-api")
    home = Home(tmp_path, more=IN_THE_FILE)
    found = [(row["id"], row["source"]) for row in home.rows("clients", "list")]
    assert found == [("shop-api", "file"), ("phone-app", "file"), ("shop-api", "unused")]


def test_those_of_the_file_are_neither_added_again_nor_removed_here(tmp_path: Path) -> None:
    home = Home(tmp_path, more=IN_THE_FILE)
    assert "configuration" in home.run("clients", "add", "shop-api", code=1).stderr
    assert "configuration" in home.run("clients", "remove", "shop-api", code=1).stderr
    assert kept(home) == []


def test_an_id_that_is_taken_is_refused_and_the_first_secret_stays(home: Home) -> None:
    home.run("clients", "add", "shop-api")
    before = kept(home)
    done = home.run("clients", "add", "shop-api", code=1)
    assert done.stdout == ""
    assert "taken" in done.stderr
    assert kept(home) == before


@pytest.mark.parametrize("name", ["", "a b", "default", "x" * 65, "-x", "\x1b[2J", "ü", "a/b"])
def test_an_id_that_cannot_be_one_is_refused(home: Home, name: str) -> None:
    done = home.run("clients", "add", "--", name, code=1)
    assert done.stdout == ""
    assert "\x1b" not in done.output
    assert kept(home) == []


@pytest.mark.parametrize("name", ["x" * 101, "\x1b[2J", "a\nb"])
def test_a_name_that_cannot_be_printed_is_wrong_usage(home: Home, name: str) -> None:
    done = home.run("clients", "add", "shop-api", "--name", name, code=2)
    assert "\x1b" not in done.output


def test_one_is_removed_once(home: Home) -> None:
    home.run("clients", "add", "shop-api")
    assert home.run("clients", "remove", "shop-api").stdout == "shop-api is removed.\n"
    assert kept(home) == []
    done = home.run("clients", "remove", "shop-api\x1b", code=1)
    assert "There is no registered client shop-api\\x1b." in done.stderr


def test_no_clients_are_an_empty_list(home: Home) -> None:
    with home.opened():
        pass
    assert home.run("clients", "list").stdout == ""
    assert home.rows("clients", "list") == []


@pytest.mark.parametrize("words", [["list"], ["remove", "x"]], ids=" ".join)
def test_without_a_database_there_are_none_and_none_is_made(home: Home, words: list[str]) -> None:
    assert "There is no database yet" in home.run("clients", *words, code=1).stderr
    assert [path.name for path in home.folder.iterdir()] == ["keyturn.toml"]


@pytest.mark.parametrize("words", [["add"], ["remove"], ["rm", "x"], ["add", "a", "--secret", "x"]], ids=" ".join)
def test_wrong_usage_is_told_from_a_refusal(home: Home, words: list[str]) -> None:
    assert home.run("clients", *words, code=2).stdout == ""


# --- a damaged row ----------------------------------------------------------------------------------------------------


@pytest.mark.ids("OA-04")
def test_a_damaged_row_is_listed_as_such_hides_no_other_and_can_be_removed(home: Home) -> None:
    for name in ("app", "shop-api", "till"):
        home.run("clients", "add", name)
    with closing(sqlite3.connect(home.folder / "keyturn.db")) as connection:
        connection.execute("UPDATE keyturn_client SET secret_digest = 's3cret' WHERE id = 'shop-api'")
        connection.commit()
    listed = home.run("clients", "list", code=1)
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == ["app", "shop-api", "till"]
    assert "damaged" in listed.stdout.splitlines()[2]
    assert "1 client cannot be read" in listed.stderr
    assert "s3cret" not in listed.output
    with home.opened() as opened:
        drive(opened.clients.refresh())
        assert set(opened.clients) == {"app", "till"}
    home.run("users", "create", "ada", typed="a long passphrase of mine")
    assert "There is no client 'shop-api'" in home.run("token", "issue", "ada", "--client", "shop-api", code=1).stderr
    assert home.run("token", "issue", "ada", "--client", "till").stdout
    assert "taken" in home.run("clients", "add", "shop-api", code=1).stderr
    home.run("clients", "remove", "shop-api")
    home.run("clients", "add", "shop-api")
    assert len(home.rows("clients", "list")) == 3
