"""The stand-alone server's users as Keyturn asks for them: one answer and one amount of work for every way to fail."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyturn._colour import drive
from keyturn.errors import StoreError
from keyturn.server.account_rules import new_account
from keyturn.server.argon2id import Cost
from keyturn.server.hashing import BusyError, Hashing
from keyturn.server.records import Account, UnreadableError
from keyturn.server.records.memory import MemoryRecords
from keyturn.server.users import ServerUsers, client_gone
from keyturn.testing.clock import START
from tests.server.test_hashing import scrypt_phc
from tests.support.office import CHEAP, OTHER, PASSWORD, HashCount, Office, counted_hashes


class Watched(MemoryRecords):
    """Records that tell which verbs were asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def account(self, subject: str) -> Account | None:
        self.asked.append("account")
        return await super().account(subject)

    async def find_account(self, key: str) -> Account | None:
        self.asked.append("find_account")
        return await super().find_account(key)

    async def is_current(self, account: Account) -> bool:
        self.asked.append("is_current")
        return await super().is_current(account)

    async def replace_account(self, account: Account) -> bool:
        self.asked.append("replace_account")
        return await super().replace_account(account)


@pytest.fixture
def records() -> Watched:
    return Watched()


@pytest.fixture
def office(records: Watched) -> Office:
    return Office(records=records)


@pytest.fixture
def count(office: Office, monkeypatch: pytest.MonkeyPatch) -> HashCount:
    office.hire("ada", email="ada@example.org", roles=["read", "write"])
    office.hire("susi")
    office.accounts.suspend("susi")
    office.hire("una", state="unverified")
    office.hire("nora", password=None)
    broken = replace(office.accounts.create("bert"), password_hash="$argon2id$v=19$m=8,t=1,p=1$cut$off")
    assert drive(office.records.replace_account(broken))
    return counted_hashes(monkeypatch)


@pytest.mark.ids("F03", "TOK-13", "TOK-22")
@pytest.mark.parametrize("typed", ["ada", "ADA", " ada", "ada@example.org", "Ada@EXAMPLE.org"])
def test_one_signs_in_by_name_or_by_address(office: Office, count: HashCount, typed: str) -> None:
    principal = office.prove(typed, PASSWORD)
    assert principal is not None
    assert principal.subject == office.accounts.find("ada").subject
    assert principal.scopes == {"read", "write"}
    assert (principal.disabled, dict(principal.claims)) == (False, {})
    assert count.all == 1


@pytest.mark.ids("AU-06", "AU-01", "W-L15", "W-T1")
@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ada", OTHER),
        ("ada", ""),
        ("ada", PASSWORD + "x" * 1024),
        ("nobody", PASSWORD),
        ("no name at all", PASSWORD),
        ("x" * 100_000, PASSWORD),
        ("nobody@example.org", PASSWORD),
        ("susi", PASSWORD),
        ("susi", OTHER),
        ("una", PASSWORD),
        ("nora", ""),
        ("nora", PASSWORD),
        ("bert", PASSWORD),
    ],
    ids=["wrong password", "empty password", "too long", "unknown", "no name", "a long name", "unknown address", "suspended",
         "suspended and wrong", "unverified", "no password set, none given", "no password set", "broken row"],
)  # fmt: skip
def test_every_way_to_fail_is_one_answer_and_one_hash(
    office: Office, count: HashCount, username: str, password: str
) -> None:
    assert office.prove(username, password) is None
    assert count.all == 1


@pytest.mark.ids("AU-06")
def test_proving_once_more_inside_a_session_is_the_same_work(office: Office, count: HashCount) -> None:
    for name, password, right in (("ada", PASSWORD, True), ("ada", OTHER, False), ("susi", PASSWORD, False)):
        count.checked = 0
        subject = office.accounts.find(name).subject
        assert drive(office.users.reauthenticate(subject, password, None)) is right
        assert count.all == 1
    count.checked = 0
    assert drive(office.users.reauthenticate("usr_nobody", PASSWORD, None)) is False
    assert count.all == 1


def test_a_refresh_reads_one_row_and_nothing_else(office: Office, records: Watched, count: HashCount) -> None:
    pair = office.sign_in()
    records.asked.clear()
    office.sessions.refresh(pair.refresh_token)
    assert records.asked == ["account"]


@pytest.mark.ids("SE-08")
def test_who_is_loaded_is_as_the_account_is_now(office: Office, count: HashCount) -> None:
    def load(name: str) -> Any:
        return drive(office.users.load(office.accounts.find(name).subject))

    assert load("ada").disabled is False
    assert load("susi").disabled is True
    assert load("una").disabled is True
    assert load("ada").source == office.accounts.find("ada")
    assert drive(office.users.load("usr_nobody")) is None
    assert count.all == 0


# --- hashes of another making ----------------------------------------------------------------------------------------


@pytest.mark.ids("AU-02")
@pytest.mark.parametrize("kind", ["argon2id of another cost", "scrypt"])
def test_an_old_hash_is_made_anew_when_its_owner_signs_in(kind: str) -> None:
    office = Office()
    ada = office.hire()
    kept = scrypt_phc(PASSWORD) if kind == "scrypt" else drive(Hashing(cost=Cost(memory=16, passes=1)).make(PASSWORD))
    assert drive(office.records.replace_account(replace(ada, password_hash=kept)))
    assert office.prove("ada", OTHER) is None
    assert office.accounts.find("ada").password_hash == kept, "a wrong password renews nothing"
    assert office.prove("ada", PASSWORD) is not None
    renewed = office.accounts.find("ada")
    assert (renewed.password_hash or "").startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert renewed.password_changed_at == ada.password_changed_at
    assert office.prove("ada", PASSWORD) is not None
    assert office.accounts.find("ada") == renewed, "and only once"


@pytest.mark.ids("AU-02")
def test_a_suspended_accounts_hash_is_left_alone() -> None:
    office = Office()
    ada = office.hire()
    kept = scrypt_phc(PASSWORD)
    assert drive(office.records.replace_account(replace(ada, password_hash=kept, state="suspended")))
    assert office.prove("ada", PASSWORD) is None
    assert office.accounts.find("ada").password_hash == kept


class Overtaken(MemoryRecords):
    """Records whose account changes while its password is hashed."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.change = change

    async def find_account(self, key: str) -> Account | None:
        found = await super().find_account(key)
        change, self.change = self.change, None
        if change is not None and found is not None:
            await self.replace_account(change(found))
        return found


def proved_while(change: Any, password: str, *, kept: str | None = None) -> Any:
    records = Overtaken(None)
    office = Office(records=records)
    ada = office.hire()
    if kept is not None:
        assert drive(records.replace_account(replace(ada, password_hash=kept)))
    records.change = change
    return office.prove("ada", password)


@pytest.mark.ids("SE-08", "W-F4")
def test_a_password_that_was_changed_while_it_was_checked_is_no_more() -> None:
    new = drive(Hashing(cost=CHEAP).make(OTHER))
    assert proved_while(lambda ada: replace(ada, password_hash=new), PASSWORD) is None
    assert proved_while(lambda ada: replace(ada, password_hash=new), PASSWORD, kept=scrypt_phc(PASSWORD)) is None


@pytest.mark.ids("SE-08")
def test_a_suspension_while_the_password_was_checked_counts() -> None:
    assert proved_while(lambda ada: replace(ada, state="suspended"), PASSWORD) is None
    assert proved_while(lambda ada: replace(ada, state="suspended"), PASSWORD, kept=scrypt_phc(PASSWORD)) is None


@pytest.mark.ids("AU-02")
def test_two_sign_ins_that_renew_one_hash_both_get_in() -> None:
    renewed = drive(Hashing(cost=CHEAP).make(PASSWORD))
    principal = proved_while(lambda ada: replace(ada, password_hash=renewed), PASSWORD, kept=scrypt_phc(PASSWORD))
    assert principal is not None


def test_roles_that_changed_while_the_password_was_checked_are_those_that_are_granted() -> None:
    principal = proved_while(lambda ada: replace(ada, roles=frozenset({"new"})), PASSWORD)
    assert principal.scopes == {"new"}


@pytest.mark.anyio
@pytest.mark.ids("AU-02", "AU-09")
async def test_a_full_queue_keeps_nobody_out_whose_password_was_right(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = Hashing(cost=CHEAP)
    records = MemoryRecords()
    kept = scrypt_phc(PASSWORD)
    ada = new_account("usr_ada", "ada", now=START)
    await records.add_account(replace(ada, password_hash=kept))

    async def busy(*args: Any, **kwargs: Any) -> str:
        raise BusyError(retry_after=timedelta(seconds=1))

    monkeypatch.setattr(hashing, "make", busy)
    assert await ServerUsers(records, hashing).authenticate("ada", PASSWORD, None) is not None
    assert (await records.account(ada.subject)).password_hash == kept  # type: ignore[union-attr]
    hashing.close()


# --- trouble ---------------------------------------------------------------------------------------------------------


class Away(MemoryRecords):
    async def account(self, subject: str) -> Account | None:
        raise StoreError(cause="away")

    async def find_account(self, key: str) -> Account | None:
        raise StoreError(cause="away")


@pytest.mark.ids("ST-05")
def test_records_that_cannot_be_read_are_trouble_and_not_an_unknown_user() -> None:
    users = ServerUsers(Away(), Hashing(cost=CHEAP))
    for question in (
        users.load("usr_x"),
        users.authenticate("ada", PASSWORD, None),
        users.reauthenticate("usr_x", PASSWORD, None),
    ):
        with pytest.raises(StoreError):
            drive(question)


@pytest.mark.ids("AU-06", "ST-05")
def test_an_account_that_cannot_be_read_is_trouble_after_the_same_work(
    office: Office, records: Watched, count: HashCount, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_account(_key: str) -> Account | None:
        raise UnreadableError(cause="the row of account 'usr_x' cannot be understood: its state")

    monkeypatch.setattr(records, "find_account", find_account)
    with pytest.raises(UnreadableError) as caught:
        office.prove("ada", PASSWORD)
    assert count.all == 1
    assert (caught.value.code, caught.value.status) == ("store_unavailable", 503)
    assert "again" not in caught.value.message


class Leaving:
    """A framework's request whose client leaves when it is told to."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def receive(self) -> dict[str, Any]:
        return await self.messages.get()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_a_client_is_gone_when_the_server_says_so_and_not_before() -> None:
    request = Leaving()
    gone = client_gone(request)
    assert gone is not None
    waiting = asyncio.ensure_future(gone())
    await request.messages.put({"type": "http.request", "body": b"{}", "more_body": False})
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    await request.messages.put({"type": "http.disconnect"})
    await waiting
    assert client_gone(None) is None
