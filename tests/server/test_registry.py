"""The registry of a running server: the file's clients, and the table's, which come and go."""

import hashlib
import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
from flask import Flask

from keyturn import stores
from keyturn._build import Chance
from keyturn._colour import drive
from keyturn.errors import ConfigurationError, StoreError
from keyturn.flask import Keyturn as FlaskKeyturn
from keyturn.server import records
from keyturn.server.records import Account, ClientRecord, TakenError
from keyturn.server.registry import PAUSE, ClientRefusedError, ClientRegistry, new_client
from keyturn.starlette import Keyturn as StarletteKeyturn
from keyturn.testing.clock import ManualClock
from keyturn.testing.entropy import CountingEntropy
from keyturn.users import RegisteredClient
from tests.support import site
from tests.support.front import KEYS, Members, a_front, basic, settings_with

CLOCK = ManualClock()
DIGEST = hashlib.sha256(b"x").hexdigest()
IN_FILE = RegisteredClient(id="shop-web")


class Table:
    """Records of which only clients matter; it counts how often it was read, and can be away or slow."""

    colour = "both"

    def __init__(self, *clients: ClientRecord) -> None:
        self.rows = {client.id: client for client in clients}
        self.accounts: dict[str, Account] = {}
        self.reads, self.away = 0, False
        self.meanwhile = lambda: None

    async def clients(self):
        self.reads += 1
        found = list(self.rows.values())
        self.meanwhile()
        if self.away:
            raise StoreError(cause="the test has cut the line")
        return found

    async def account(self, subject):
        return self.accounts.get(subject)

    async def add_client(self, client):
        if client.id in self.rows:
            raise TakenError
        self.rows[client.id] = client

    async def remove_client(self, client_id):
        return self.rows.pop(client_id, None) is not None


def record(client_id, digest=None):
    return ClientRecord(id=client_id, secret_digest=digest, created_at=CLOCK())


def a_registry(*rows, configured=(IN_FILE,)):
    table, clock = Table(*rows), ManualClock()
    return SimpleNamespace(registry=ClientRegistry(configured, table, clock=clock), table=table, clock=clock)


def look_up(one, client_id):
    return drive(one.registry.look_up(client_id))


@pytest.mark.ids("OA-04")
def test_one_damaged_row_is_a_client_that_nobody_knows_and_hides_no_other(caplog):
    one = a_registry(record("app"), record("till", DIGEST))
    drive(one.registry.refresh())
    one.table.rows["till"] = "till"  # as records give a row that cannot be understood
    one.table.rows["new"] = record("new")
    for _ in range(3):
        drive(one.registry.refresh())
    assert set(one.registry) == {"shop-web", "app", "new"}
    assert look_up(one, "till") is None, "and it is no trouble of the store, which would be asked for again and again"
    assert caplog.text.count("the row of client 'till' cannot be understood") == 1
    one.table.rows["till"] = record("till", DIGEST)
    drive(one.registry.refresh())
    assert one.registry["till"].secret_digest == DIGEST
    one.table.rows["till"] = "till"
    drive(one.registry.refresh())
    assert caplog.text.count("the row of client 'till' cannot be understood") == 2


def test_a_client_of_the_file_is_known_whatever_became_of_the_tables_row():
    one = a_registry(record("app"))
    one.table.rows["shop-web"] = "shop-web"
    drive(one.registry.refresh())
    assert one.registry["shop-web"] == IN_FILE


# --- what is known -------------------------------------------------------------------------------------------------


def test_before_anything_was_read_the_files_clients_are_known():
    one = a_registry(record("shop-api", DIGEST))
    assert dict(one.registry) == {"shop-web": IN_FILE}
    assert one.table.reads == 0


def test_a_read_adds_the_tables_clients():
    one = a_registry(record("shop-api", DIGEST))
    drive(one.registry.refresh())
    assert dict(one.registry) == {
        "shop-web": IN_FILE,
        "shop-api": RegisteredClient(id="shop-api", secret_digest=DIGEST),
    }
    assert (len(one.registry), list(one.registry)) == (2, ["shop-api", "shop-web"])
    assert one.table.reads == 1


def test_where_both_name_an_id_the_files_client_is_the_one():
    configured = RegisteredClient(id="shop-api", secret_digest=DIGEST)
    one = a_registry(record("shop-api"), configured=[configured])
    drive(one.registry.refresh())
    assert one.registry["shop-api"] == configured


@pytest.mark.ids("ATP-05")
@pytest.mark.parametrize("client_id", ["default", ""])
def test_a_row_that_nobody_could_have_registered_is_no_client(client_id):
    one = a_registry(record(client_id))
    drive(one.registry.refresh())
    assert dict(one.registry) == {"shop-web": IN_FILE}


def test_a_picture_of_one_moment_stays_whole_while_clients_come_and_go():
    one = a_registry(record("a"), record("b"))
    drive(one.registry.refresh())
    values, items = one.registry.values(), one.registry.items()
    one.table.rows.clear()
    drive(one.registry.refresh())
    assert [client.id for client in values] == ["a", "b", "shop-web"]
    assert [client_id for client_id, _ in items] == ["a", "b", "shop-web"]


# --- looking up ----------------------------------------------------------------------------------------------------


@pytest.mark.ids("OA-02")
def test_an_unknown_id_is_looked_up_once_a_second_at_most():
    one = a_registry()
    for _ in range(50):
        assert look_up(one, "stranger") is None
    assert one.table.reads == 1
    one.table.rows["shop-api"] = record("shop-api")
    one.clock.advance(PAUSE - timedelta(milliseconds=1))
    assert look_up(one, "shop-api") is None
    one.clock.advance(timedelta(milliseconds=1))
    assert look_up(one, "shop-api") == RegisteredClient(id="shop-api")
    assert one.table.reads == 2


def test_a_clock_that_goes_back_reads_again():
    one = a_registry()
    look_up(one, "stranger")
    one.table.rows["shop-api"] = record("shop-api")
    one.clock.advance(-3600)
    assert look_up(one, "shop-api") is not None


@pytest.mark.ids("ST-05")
def test_trouble_is_told_for_whoever_is_unknown_and_for_nobody_else():
    one = a_registry(record("shop-api"))
    drive(one.registry.refresh())
    one.table.away = True
    with pytest.raises(StoreError):
        drive(one.registry.refresh())
    for _ in range(3):  # without asking again
        with pytest.raises(StoreError, match=r".") as caught:
            look_up(one, "stranger")
        assert "cut the line" in str(caught.value.cause)
    assert one.table.reads == 2
    assert look_up(one, "shop-api") is not None
    assert set(one.registry) == {"shop-web", "shop-api"}
    one.table.away = False
    one.clock.advance(PAUSE)
    assert look_up(one, "stranger") is None


def test_a_slow_read_does_not_undo_a_later_one():
    one = a_registry()

    def later():
        one.table.meanwhile = lambda: None
        one.table.rows["shop-api"] = record("shop-api")
        drive(one.registry.refresh())

    one.table.meanwhile = later
    drive(one.registry.refresh())
    assert "shop-api" in one.registry


def test_a_slow_table_is_not_read_by_everybody_at_once():
    one = a_registry()
    deepest = [0]

    def meanwhile():
        deepest[0] += 1
        one.clock.advance(PAUSE)  # so slow that the next is due
        if deepest[0] < 50:
            look_up(one, "stranger")

    one.table.meanwhile = meanwhile
    look_up(one, "stranger")
    assert one.table.reads == 4


def test_a_read_that_failed_gives_its_place_back():
    one = a_registry()
    one.table.away = True
    for _ in range(10):
        one.clock.advance(PAUSE)
        with pytest.raises(StoreError):
            look_up(one, "stranger")
    assert one.table.reads == 10


# --- what a running service makes of it ----------------------------------------------------------------------------


@pytest.mark.ids("OA-02", "OA-04", "RT-10")
def test_a_client_is_added_and_removed_without_a_restart():
    table = Table()
    clock = ManualClock()
    server = ClientRegistry([IN_FILE], table, clock=clock)
    commands = ClientRegistry([IN_FILE], table, clock=clock)
    front = a_front(clients=server, clock=clock)
    client, secret = new_client(id="shop-api", entropy=CountingEntropy(), now=clock())
    proof = basic("shop-api", secret)
    assert front.send("POST", "/auth/introspect", form={"token": "x"}, headers=[proof]).status == 401
    drive(commands.add(client))
    clock.advance(1)
    assert front.send("POST", "/auth/introspect", form={"token": "x"}, headers=[proof]).body == b'{"active":false}'
    device = front.device(page=False, client_id="shop-api")
    assert drive(commands.remove("shop-api")) is True
    drive(server.refresh())
    clock.advance(60)
    form = {"grant_type": "refresh_token", "refresh_token": device.refresh_token}
    assert front.send("POST", "/auth/token", form=form, headers=[proof]).status == 401
    assert front.send("POST", "/auth/token", form=form).error == "invalid_grant"


# --- a new client --------------------------------------------------------------------------------------------------


@pytest.mark.ids("OA-02")
def test_a_new_client_has_a_secret_of_32_random_bytes_that_is_kept_nowhere():
    asked = []

    def entropy(count):
        asked.append(count)
        return CountingEntropy()(count)

    client, secret = new_client(id="shop-api", name="The shop", entropy=entropy, now=CLOCK())
    assert asked == [32]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)
    assert client == ClientRecord(
        id="shop-api", name="The shop", secret_digest=hashlib.sha256(secret.encode()).hexdigest(), created_at=CLOCK()
    )
    assert secret not in repr(client)
    assert client.secret_digest not in repr(client)


def test_a_public_client_has_none_and_costs_no_entropy():
    client, secret = new_client(id="shop-app", public=True, entropy=lambda count: pytest.fail("asked"), now=CLOCK())
    assert (client.secret_digest, secret) == (None, None)


@pytest.mark.ids("ATP-05")
@pytest.mark.parametrize(
    "client_id", ["default", "DEFAULT", "", "a b", "a:b", "é", "-a", "a" * 65, "a\x00", "https://a.example"]
)
def test_an_id_that_cannot_be_one_is_refused(client_id):
    with pytest.raises(ClientRefusedError) as caught:
        new_client(id=client_id, entropy=CountingEntropy(), now=CLOCK())
    assert caught.value.code == "client_refused"
    assert caught.value.message.startswith("The id ")


# --- add and remove ------------------------------------------------------------------------------------------------


def test_what_is_added_is_known_and_what_is_removed_is_not():
    one = a_registry()
    drive(one.registry.add(record("shop-api")))
    assert "shop-api" in one.registry
    assert drive(one.registry.remove("shop-api")) is True
    assert "shop-api" not in one.registry
    assert drive(one.registry.remove("shop-api")) is False


def test_a_change_that_is_done_is_no_failure_because_nobody_could_look_afterwards():
    """Whoever adds a client is shown its secret once: it must not be lost over a read."""
    one = a_registry()
    one.table.away = True
    drive(one.registry.add(record("shop-api")))
    assert set(one.table.rows) == {"shop-api"}
    assert drive(one.registry.remove("shop-api")) is True
    assert one.table.rows == {}


def test_an_id_of_the_table_is_taken():
    one = a_registry(record("shop-api", DIGEST))
    with pytest.raises(TakenError):
        drive(one.registry.add(record("shop-api")))
    assert one.table.rows["shop-api"].secret_digest == DIGEST


def test_an_id_of_the_file_is_neither_added_nor_removed():
    one = a_registry()
    with pytest.raises(ClientRefusedError, match="configuration"):
        drive(one.registry.add(record("shop-web")))
    with pytest.raises(ClientRefusedError, match="configuration"):
        drive(one.registry.remove("shop-web"))
    assert one.table.rows == {}


@pytest.mark.ids("ATP-05")
def test_the_id_of_a_user_is_no_clients():
    one = a_registry()
    one.table.accounts["u-alice"] = Account(subject="u-alice", username="alice", name_key="alice", created_at=CLOCK())
    with pytest.raises(ClientRefusedError, match="user"):
        drive(one.registry.add(record("u-alice")))
    assert one.table.rows == {}


def test_a_configurations_clients_are_for_every_service(tmp_path):
    path = tmp_path / "keyturn.toml"
    path.write_text(
        f'[keyturn]\nissuer = "https://a.example"\n[[clients]]\nid = "shop-api"\nsecret_digest = "{DIGEST}"\n'
    )
    clients = RegisteredClient.from_toml(path, environment={})
    assert clients == (RegisteredClient(id="shop-api", secret_digest=DIGEST),)
    assert a_front(clients=clients).service is not None


# --- every door over a real table ----------------------------------------------------------------------------------


def _asked_by_starlette(registry, clock):
    client = site.visitor(site.starlette_app(site.a_site(kind=StarletteKeyturn, clients=registry, clock=clock).service))
    return lambda proof: client.post("/auth/introspect", data={"token": "x"}, headers=proof).status_code


def _asked_by_flask(registry, clock):
    app = Flask(__name__)
    chance = Chance(clock=clock, entropy=CountingEntropy())
    FlaskKeyturn(
        settings=settings_with(), users=Members(), store="memory:", keys=KEYS, clients=registry, chance=chance
    ).init_app(app)
    client = app.test_client()
    return lambda proof: client.post("/auth/introspect", data={"token": "x"}, headers=proof).status_code


@pytest.mark.ids("OA-02")
@pytest.mark.parametrize("url", ["memory:", "sqlite:///{}/clients.db"])
@pytest.mark.parametrize("asked_by", [_asked_by_starlette, _asked_by_flask])
def test_every_door_finds_a_client_that_another_process_registered(asked_by, url, tmp_path):
    url, clock = url.format(tmp_path), ManualClock()
    if url != "memory:":
        stores.open(url).close()  # makes the tables
    table = records.open(url, colour="async" if asked_by is _asked_by_starlette else "sync")
    elsewhere = table if url == "memory:" else records.open(url)
    ask = asked_by(ClientRegistry([], table, clock=clock), clock)
    client, secret = new_client(id="shop-api", entropy=CountingEntropy(), now=clock())
    name, value = basic("shop-api", secret)
    proof = {name.decode(): value.decode()}
    try:
        assert ask(proof) == 401
        drive(elsewhere.add_client(client))
        clock.advance(1)
        assert ask(proof) == 200
    finally:
        elsewhere.close()
        table.close()


def test_a_door_that_blocks_refuses_a_table_that_awaits():
    table = Table()
    table.colour = "async"
    with pytest.raises(ConfigurationError, match=r"clients\.look_up awaits"):
        a_front(clients=ClientRegistry([], table))
