"""What operators do with accounts, and what becomes of the users' sessions."""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from keyturn._build import Chance
from keyturn._colour import drive
from keyturn.errors import ConfigurationError, CredentialsError, SessionEndedError, StoreError, TokenStaleError
from keyturn.keyrings.static import testing_keys
from keyturn.revocation import read_on
from keyturn.server.account_values import RESET_PREFIX, NotFoundError, Prepared, ResetError, reset_digest
from keyturn.server.accounts import Accounts, AsyncAccounts
from keyturn.server.argon2id import Cost
from keyturn.server.hashing import Hashing
from keyturn.server.names import AccountError
from keyturn.server.records import Account, TakenError
from keyturn.server.records.memory import MemoryRecords
from keyturn.session import EndReason
from keyturn.settings import Settings
from keyturn.testing.entropy import CountingEntropy
from keyturn.tokens import UNCHECKED
from keyturn.verifier import Verifier
from tests.support.office import CHEAP, ISSUER, OTHER, PASSWORD, Office, counted_hashes


@pytest.fixture
def office() -> Office:
    return Office()


def prepared(office: Office, password: str = OTHER) -> Prepared:
    account = office.accounts.find("ada")
    return drive(_verbs(office).prepare_password(account, password))


def _verbs(office: Office) -> AsyncAccounts:
    return office.accounts._do


# --- creating and finding --------------------------------------------------------------------------------------------


@pytest.mark.ids("TOK-13", "AU-13")
def test_an_account_is_found_by_name_address_and_subject(office: Office) -> None:
    ada = office.hire("Ada", email="Ada@Example.org", roles=["read"])
    for typed in ("ada", "ADA", " ada ", "ada@example.ORG", ada.subject):
        assert office.accounts.find(typed).subject == ada.subject
    for typed in ("eve", "ada@example.com", "", "a b", "usr_nobody", ada.subject.upper()):
        with pytest.raises(NotFoundError):
            office.accounts.find(typed)


@pytest.mark.ids("TOK-13", "TOK-22", "ATP-05")
def test_the_subject_is_drawn_and_tells_nothing_of_the_user(office: Office) -> None:
    ada, bob = office.hire("ada", email="ada@example.org"), office.hire("bob")
    assert ada.subject != bob.subject
    assert ada.subject.startswith("usr_")
    assert len(ada.subject) == 24
    principal = drive(office.users.load(ada.subject))
    assert principal is not None
    assert dict(principal.claims) == {}


@pytest.mark.ids("AU-13")
@pytest.mark.parametrize(
    ("username", "email"),
    [
        ("ADA", None),
        ("\uff41da", None),
        ("eve", "ada@example.org"),
        ("eve", "ADA@EXAMPLE.ORG"),
        ("ada@example.org", None),
    ],
)
def test_no_two_accounts_share_a_name_or_an_address(office: Office, username: str, email: str | None) -> None:
    office.hire("ada", email="ada@example.org")
    with pytest.raises(TakenError):
        office.hire(username, email=email)


@pytest.mark.ids("AU-13")
def test_an_address_that_is_anothers_name_is_taken(office: Office) -> None:
    office.hire("ada@example.org")
    with pytest.raises(TakenError):
        office.hire("eve", email="ada@example.org")


def test_an_account_without_a_password_waits_for_a_reset(office: Office) -> None:
    office.hire(password=None)
    assert office.prove("ada", "") is None
    office.accounts.use_reset(office.accounts.reset("ada").token, PASSWORD)
    assert office.prove("ada", PASSWORD) is not None


def test_all_accounts_are_listed_page_by_page(office: Office) -> None:
    for name in ("carol", "ada", "bob"):
        office.hire(name, password=None)
    first = office.accounts.list(limit=2)
    assert [account.username for account in first if isinstance(account, Account)] == ["ada", "bob"]
    (last,) = office.accounts.list(after="bob", limit=2)
    assert isinstance(last, Account)
    assert last.username == "carol"


# --- states ----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("SE-08")
def test_suspending_ends_every_session_and_lets_nobody_in(office: Office) -> None:
    ada = office.hire()
    office.hire("bob")
    one, two, bobs = office.sign_in(), office.sign_in(), office.sign_in("bob")
    change = office.accounts.suspend("ada")
    assert (change.changed, change.sessions, change.account.state) == (True, 2, "suspended")
    assert office.reasons() == ["user_disabled", "user_disabled"]
    for pair in (one, two):
        with pytest.raises(SessionEndedError):
            office.sessions.refresh(pair.refresh_token)
    assert office.prove("ada", PASSWORD) is None
    assert office.sessions.refresh(bobs.refresh_token), "nobody else is concerned"
    assert office.sessions.list(ada.subject) == []


@pytest.mark.ids("SE-08")
def test_a_crash_between_the_record_and_the_sessions_leaves_nobody_signed_in(office: Office, monkeypatch: Any) -> None:
    office.hire()
    pair = office.sign_in()

    def crash(*args: Any, **kwargs: Any) -> int:
        raise StoreError(cause="the process died here")

    with monkeypatch.context() as patch:
        patch.setattr(office.sessions, "end_user", crash)
        with pytest.raises(StoreError):
            office.accounts.suspend("ada")
    assert office.accounts.find("ada").state == "suspended", "the record is written first"
    with pytest.raises(SessionEndedError) as caught:
        office.sessions.refresh(pair.refresh_token)
    assert caught.value.reason == "user_disabled"
    assert office.accounts.suspend("ada").changed is False


@pytest.mark.ids("SE-08")
def test_suspending_once_more_ends_what_was_left(office: Office) -> None:
    office.hire()
    principal = office.prove("ada", PASSWORD)
    assert principal is not None
    office.accounts.suspend("ada")
    office.sessions.start(principal)  # proved before, written after
    change = office.accounts.suspend("ada")
    assert (change.changed, change.sessions) == (False, 1)


@pytest.mark.ids("SE-08")
def test_a_sign_in_that_was_overtaken_by_a_suspension_lives_until_its_first_refresh(office: Office) -> None:
    office.hire()
    principal = office.prove("ada", PASSWORD)
    assert principal is not None
    office.accounts.suspend("ada")
    pair = office.sessions.start(principal)  # proved before, written after
    with pytest.raises(SessionEndedError):
        office.sessions.refresh(pair.refresh_token)


@pytest.mark.ids("W-F1")
@pytest.mark.parametrize("state", ["unverified", "suspended"])
def test_no_password_act_lets_an_account_in_that_may_not(office: Office, state: Any) -> None:
    office.hire(state="unverified")
    if state == "suspended":
        office.accounts.suspend("ada")
    office.accounts.set_password("ada", OTHER)
    assert office.accounts.find("ada").state == state
    office.accounts.use_reset(office.accounts.reset("ada").token, PASSWORD)
    assert office.accounts.find("ada").state == state
    assert office.prove("ada", PASSWORD) is None
    change = office.accounts.activate("ada")
    assert (change.changed, change.account.state) == (True, "active")
    assert office.prove("ada", PASSWORD) is not None
    assert office.accounts.activate("ada").changed is False


# --- roles -----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("W-L12")
def test_new_and_lost_roles_are_felt_at_the_next_request_and_no_session_ends(office: Office) -> None:
    office.hire(roles=["read"])
    pair = office.sign_in()
    verifier = Verifier(Settings(issuer=ISSUER), testing_keys(), clock=office.clock)

    def read_log() -> None:
        drive(read_on(office.store, verifier.floors, office.clock()))

    read_log()
    assert verifier.verify(pair.access_token, binding=UNCHECKED).scope == {"read"}

    change = office.accounts.promote("ada", "write", "admin")
    assert (change.changed, change.sessions, change.account.roles) == (True, 1, {"read", "write", "admin"})
    read_log()
    with pytest.raises(TokenStaleError):
        verifier.verify(pair.access_token, binding=UNCHECKED)
    pair = office.sessions.refresh(pair.refresh_token)
    assert verifier.verify(pair.access_token, binding=UNCHECKED).scope == {"read", "write", "admin"}

    assert office.accounts.demote("ada", "admin", "read").account.roles == {"write"}
    read_log()
    with pytest.raises(TokenStaleError):
        verifier.verify(pair.access_token, binding=UNCHECKED)
    pair = office.sessions.refresh(pair.refresh_token)
    assert verifier.verify(pair.access_token, binding=UNCHECKED).scope == {"write"}
    assert office.reasons() == []


@pytest.mark.ids("W-L12")
def test_a_second_try_mends_an_interrupted_demotion(office: Office, monkeypatch: Any) -> None:
    office.hire(roles=["admin"])
    office.sign_in()

    def crash(subject: str) -> int:
        raise StoreError(cause="the process died here")

    with monkeypatch.context() as patch:
        patch.setattr(office.sessions, "require", crash)
        with pytest.raises(StoreError):
            office.accounts.demote("ada", "admin")
    change = office.accounts.demote("ada", "admin")
    assert (change.changed, change.sessions) == (False, 1)


# --- passwords -------------------------------------------------------------------------------------------------------


@pytest.mark.ids("SE-08", "W-F4")
def test_setting_a_password_ends_every_session_and_the_old_one_is_worth_nothing(office: Office) -> None:
    office.hire()
    pair = office.sign_in()
    office.clock.advance(60)
    change = office.accounts.set_password("ada", OTHER)
    assert (change.changed, change.sessions) == (True, 1)
    assert change.account.password_changed_at == office.clock()
    assert office.reasons() == ["credentials_changed"]
    with pytest.raises(SessionEndedError):
        office.sessions.refresh(pair.refresh_token)
    assert office.prove("ada", PASSWORD) is None
    assert office.prove("ada", OTHER) is not None


class Interrupted:
    """Records under whose writing of an account something else happens first."""

    def __init__(self, behind: MemoryRecords, meanwhile: Callable[[], None]) -> None:
        self.behind = behind
        self.meanwhile: Callable[[], None] | None = meanwhile
        self.colour = behind.colour

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)

    async def replace_account(self, account: Account) -> bool:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return await self.behind.replace_account(account)


def interrupted(office: Office, meanwhile: Callable[[], None]) -> Accounts:
    """Accounts over the same records and sessions, with something in between."""
    records: Any = Interrupted(office.records, meanwhile)  # type: ignore[arg-type]
    chance = Chance(clock=office.clock, entropy=CountingEntropy())
    return Accounts(records, office.hashing, office.sessions, issuer=ISSUER, chance=chance)


@pytest.mark.ids("SE-08", "W-F4")
def test_a_sign_in_with_the_old_password_in_the_middle_of_the_change_ends_too(office: Office) -> None:
    ada = office.hire()
    interrupted(office, lambda: office.sign_in() and None).set_password("ada", OTHER)
    assert office.sessions.list(ada.subject) == []


@pytest.mark.ids("SE-08", "W-F4")
def test_a_crash_before_the_new_password_is_written_leaves_no_session(office: Office) -> None:
    ada = office.hire()
    office.sign_in()

    def crash() -> None:
        raise StoreError(cause="the process died here")

    with pytest.raises(StoreError):
        interrupted(office, crash).set_password("ada", OTHER)
    assert office.sessions.list(ada.subject) == []
    assert office.prove("ada", PASSWORD) is not None


@pytest.mark.ids("AU-04", "W-F8")
def test_a_refused_password_changes_nothing(office: Office) -> None:
    ada = office.hire()
    pair = office.sign_in()
    for verb in (lambda: office.accounts.set_password("ada", "password"), lambda: office.hire("bob", password="short")):
        with pytest.raises(AccountError) as caught:
            verb()
        assert caught.value.code == "password_refused"
    assert office.accounts.find("ada") == ada
    assert office.sessions.refresh(pair.refresh_token)
    with pytest.raises(NotFoundError):
        office.accounts.find("bob")


@pytest.mark.ids("AU-05", "SE-08")
def test_a_users_own_change_keeps_the_session_that_asked_and_ends_the_others(office: Office) -> None:
    ada = office.hire()
    own, other = office.sign_in(), office.sign_in()
    change = drive(_verbs(office).change_password(prepared(office), keep=own.session_id))
    assert change.sessions == 1
    assert [session.id for session in office.sessions.list(ada.subject)] == [own.session_id]
    with pytest.raises(SessionEndedError):
        office.sessions.refresh(other.refresh_token)


@pytest.mark.ids("AU-05")
def test_of_two_changes_that_know_the_same_old_password_one_is_written(office: Office) -> None:
    office.hire()
    one, other = prepared(office, OTHER), prepared(office, "yet another password")
    drive(_verbs(office).change_password(one, keep="-"))
    with pytest.raises(CredentialsError):
        drive(_verbs(office).change_password(other, keep="-"))
    assert office.prove("ada", OTHER) is not None


@pytest.mark.ids("AU-05")
@pytest.mark.parametrize("state", ["unverified", "suspended"])
def test_who_may_not_sign_in_proves_nothing(office: Office, state: Any) -> None:
    ada = office.hire(state="unverified")
    if state == "suspended":
        office.accounts.suspend("ada")
    with pytest.raises(CredentialsError):
        drive(_verbs(office).prove(ada.subject, PASSWORD))


@pytest.mark.ids("AU-06")
def test_proving_hashes_once_whatever_is_wrong(office: Office, monkeypatch: Any) -> None:
    ada, nameless = office.hire(), office.hire("bob", password=None)
    count = counted_hashes(monkeypatch)
    for subject, password in ((ada.subject, OTHER), (nameless.subject, OTHER), ("usr_nobody", OTHER)):
        count.checked = 0
        with pytest.raises(CredentialsError):
            drive(_verbs(office).prove(subject, password))
        assert count.all == 1
    assert drive(_verbs(office).prove(ada.subject, PASSWORD)) == ada


# --- resets ----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("AU-10", "W-F2", "W-F3")
def test_a_reset_sets_the_password_once_and_ends_every_session(office: Office) -> None:
    ada = office.hire()
    pair = office.sign_in()
    reset = office.accounts.reset("ada")
    assert reset.token.startswith(RESET_PREFIX)
    assert len(reset.token) == len(RESET_PREFIX) + 44
    assert reset.token not in repr(reset)
    assert reset.expires_at == office.clock() + timedelta(minutes=60)
    assert reset.token not in repr(vars(office.records)), "what is kept is a digest"
    assert office.sessions.refresh(pair.refresh_token), "making one ends nothing"
    change = office.accounts.use_reset(reset.token, OTHER)
    assert change.sessions == 1
    assert office.sessions.list(ada.subject) == []
    assert office.prove("ada", OTHER) is not None
    with pytest.raises(ResetError):
        office.accounts.use_reset(reset.token, PASSWORD)


@pytest.mark.ids("AU-10")
def test_a_reset_is_good_to_the_last_moment_and_not_beyond(office: Office) -> None:
    office.hire()
    token = office.accounts.reset("ada", lifetime=timedelta(minutes=5)).token
    office.clock.advance(timedelta(minutes=5) - timedelta(microseconds=1))
    with pytest.raises(AccountError):
        office.accounts.use_reset(token, "short")
    office.clock.advance(timedelta(microseconds=1))
    with pytest.raises(ResetError):
        office.accounts.use_reset(token, OTHER)


@pytest.mark.ids("AU-10")
@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(seconds=-1), timedelta(minutes=60, microseconds=1)])
def test_a_reset_lives_an_hour_at_most(office: Office, lifetime: timedelta) -> None:
    office.hire()
    with pytest.raises(ConfigurationError):
        office.accounts.reset("ada", lifetime=lifetime)


@pytest.mark.ids("AU-10", "AU-04")
def test_a_refused_password_does_not_use_the_reset_up(office: Office) -> None:
    office.hire()
    token = office.accounts.reset("ada").token
    for refused in ("short", "password", "ada", "x" * 1025):
        with pytest.raises(AccountError):
            office.accounts.use_reset(token, refused)
    office.accounts.use_reset(token, OTHER)


@pytest.mark.ids("W-F3", "W-F6")
def test_a_new_reset_voids_the_one_before_and_is_always_new(office: Office) -> None:
    office.hire()
    first, second = office.accounts.reset("ada"), office.accounts.reset("ada")
    assert first.token != second.token
    with pytest.raises(ResetError):
        office.accounts.use_reset(first.token, OTHER)
    office.accounts.use_reset(second.token, OTHER)


@pytest.mark.ids("AU-10")
def test_a_password_that_was_set_otherwise_voids_a_reset_that_is_still_out(office: Office) -> None:
    office.hire()
    token = office.accounts.reset("ada").token
    office.accounts.set_password("ada", OTHER)
    with pytest.raises(ResetError):
        office.accounts.use_reset(token, PASSWORD)


@pytest.mark.ids("AU-07", "AU-10")
@pytest.mark.parametrize(
    "token", ["", "x", "ktreset1.", "ktreset1." + "A" * 44, "ktreset1." + "A" * 100_000, "\udcff", "\x00"]
)
def test_what_is_no_reset_is_refused_without_hashing(office: Office, token: str, monkeypatch: Any) -> None:
    office.hire()
    office.accounts.reset("ada")
    count = counted_hashes(monkeypatch)
    with pytest.raises(ResetError):
        office.accounts.use_reset(token, OTHER)
    assert count.all == 0


@pytest.mark.ids("W-F2", "AU-10")
def test_no_other_secret_of_ours_is_a_reset(office: Office) -> None:
    office.hire()
    pair = office.sign_in()
    for secret in (pair.refresh_token, pair.access_token, PASSWORD):
        with pytest.raises(ResetError):
            office.accounts.use_reset(secret, OTHER)


@pytest.mark.ids("KEY-07", "W-F2")
def test_a_resets_digest_is_the_digest_of_nothing_else() -> None:
    assert reset_digest("a token") != sha256(b"a token").digest()
    assert reset_digest("a token") != reset_digest("another token")


@pytest.mark.ids("AU-10", "W-F2")
def test_of_twenty_at_once_one_uses_the_reset() -> None:
    office = Office()
    office.hire()
    token = office.accounts.reset("ada").token
    barrier = threading.Barrier(20)
    won: list[str] = []
    lost: list[Exception] = []

    def use(password: str) -> None:
        barrier.wait(30)
        try:
            office.accounts.use_reset(token, password)
            won.append(password)
        except ResetError as error:
            lost.append(error)

    threads = [threading.Thread(target=use, args=(f"password of thread {number}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(won), len(lost)) == (1, 19)
    assert office.prove("ada", won[0]) is not None


# --- compare-and-set -------------------------------------------------------------------------------------------------


def test_two_operators_at_once_lose_nothing_of_each_other(office: Office) -> None:
    office.hire(roles=["a"])
    change = interrupted(office, lambda: office.accounts.promote("ada", "b") and None).promote("ada", "c")
    assert change.account.roles == {"a", "b", "c"}
    assert change.account == office.accounts.find("ada")


@pytest.mark.ids("W-F1")
def test_a_suspension_in_the_middle_of_a_password_change_stands(office: Office) -> None:
    office.hire()
    interrupted(office, lambda: office.accounts.suspend("ada") and None).set_password("ada", OTHER)
    assert office.accounts.find("ada").state == "suspended"


def test_twenty_threads_add_a_role_each() -> None:
    office = Office()
    office.hire()
    failed: list[Exception] = []

    def promote(role: str) -> None:
        while True:
            try:
                office.accounts.promote("ada", role)
            except StoreError:
                continue  # overtaken eight times in a row: told so, and tried again
            except Exception as error:  # noqa: BLE001 - shown below
                failed.append(error)
            return

    threads = [threading.Thread(target=promote, args=(f"role-{number}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert len(office.accounts.find("ada").roles) == 20


class NeverFree(MemoryRecords):
    async def replace_account(self, account: Account) -> bool:
        return False


def test_who_is_overtaken_again_and_again_is_told_to_try_later() -> None:
    office = Office(records=NeverFree())
    office.hire()
    with pytest.raises(StoreError):
        office.accounts.promote("ada", "x")


# --- both colours, and what is told ----------------------------------------------------------------------------------


class Awaiting:
    """Sessions that await."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    async def end_user(self, subject: str, *, keep: str | None = None, reason: EndReason = EndReason.ENDED) -> int:
        self.told.append((subject, reason))
        return 1

    async def require(self, subject: str) -> int:
        self.told.append((subject, "require"))
        return 2


@pytest.mark.anyio
async def test_the_same_verbs_await_where_the_sessions_do() -> None:
    sessions, hashing = Awaiting(), Hashing(cost=CHEAP)
    accounts = AsyncAccounts(MemoryRecords(), hashing, sessions, issuer=ISSUER)
    ada = await accounts.create("ada", password=PASSWORD)
    assert (await accounts.promote("ada", "x")).sessions == 2
    assert (await accounts.suspend("ada")).sessions == 1
    assert (await accounts.set_password("ada", OTHER)).sessions == 2
    await accounts.use_reset((await accounts.reset("ada")).token, PASSWORD)
    assert {subject for subject, _ in sessions.told} == {ada.subject}
    hashing.close()


@pytest.mark.ids("AU-12", "ST-01", "TOK-22")
def test_the_log_names_who_was_changed_by_the_opaque_id_alone(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ada = office.hire("Ada", email="ada@example.org")
    token = office.accounts.reset("ada").token
    office.accounts.use_reset(token, OTHER)
    office.accounts.set_password("ada", PASSWORD)
    office.accounts.promote("ada", "admin")
    office.accounts.demote("ada", "admin")
    office.accounts.suspend("ada")
    office.accounts.activate("ada")
    acts = [record.keyturn_fields for record in caplog.records if record.name == "keyturn.accounts"]  # type: ignore[attr-defined]
    assert {act["subject"] for act in acts} == {ada.subject}
    assert [act["act"] for act in acts] == [
        "created", "reset made", "password reset", "password set", "promoted", "demoted", "suspended", "activated",
    ]  # fmt: skip
    said = caplog.text + repr(acts)
    for secret in (token, PASSWORD, OTHER, "Ada", "ada@", "argon2"):
        assert secret not in said


def test_a_dearer_hash_is_made_by_whoever_sets_the_password() -> None:
    office = Office(hashing=Hashing(cost=Cost(memory=16, passes=1)))
    kept = office.hire().password_hash
    assert kept is not None
    assert "m=16,t=1" in kept
