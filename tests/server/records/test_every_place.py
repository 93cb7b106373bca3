"""What holds wherever records are kept: in memory, in SQLite, in PostgreSQL and MariaDB, by every driver."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keyturn.errors import StoreError
from keyturn.server.records import ClientRecord, TakenError
from tests.server.records.conftest import IN_SQL, NOW, an_account

ONE, OTHER = b"\x01" * 32, b"\x02" * 32
SMALLEST = timedelta(microseconds=1)
FULL = an_account(
    "ana", email="Ana@Example.org", email_key="ana@example.org", password_hash="$argon2id$v=19$" + "x" * 80,
    state="unverified", roles=frozenset({"shop:read", "shop:write", "größer"}),
    password_changed_at=NOW + SMALLEST,
)  # fmt: skip
HOSTILE = (
    "' OR 1=1 --", '"; DROP TABLE keyturn_account', "\\", "%s %(x)s :name ?", "日本語", "🗝" * 100, "Å", "A\u030a",
    " ana", "ana ", "ANA", "\x01\x1f\x7f", "\u202e", "a\nb", "x" * 255, "\u017f", "\U0010ffff",
)  # fmt: skip
UNSTORABLE = ("nul\0inside", "lone \ud800 surrogate", "", "x" * 256)


@pytest.fixture
def records(place):
    return place.records


# --- accounts -------------------------------------------------------------------------------------------------------


def test_an_account_comes_back_as_it_was_given_to_the_microsecond(place, records):
    for account in (FULL, an_account("bob", roles=frozenset())):
        place.run(records.add_account(account))
        assert place.run(records.account(account.subject)) == account
        assert place.run(records.find_account(account.name_key)) == account
    assert place.run(records.find_account("ana@example.org")) == FULL
    assert place.run(records.account("id-of-nobody")) is None
    assert place.run(records.find_account("nobody")) is None
    assert place.run(records.find_account("Ana@Example.org")) is None


def test_an_account_whose_name_is_its_address_is_one_account(place, records):
    same = an_account("ana@example.org", email="ana@example.org", email_key="ana@example.org")
    place.run(records.add_account(same))
    assert place.run(records.find_account("ana@example.org")) == same
    assert place.run(records.replace_account(replace(same, email=None, email_key=None)))
    assert place.run(records.find_account("ana@example.org")).email is None


@pytest.mark.ids("AU-13")
@pytest.mark.parametrize(
    "second",
    [
        an_account("eve", subject=FULL.subject),
        an_account("eve", name_key="ana"),
        an_account("eve", name_key="ana@example.org"),
        an_account("eve", email="x", email_key="ana"),
        an_account("eve", email="x", email_key="ana@example.org"),
    ],
    ids=["subject", "name", "name is an address", "address is a name", "address"],
)
def test_what_one_account_is_found_by_no_other_is(place, records, second):
    place.run(records.add_account(FULL))
    with pytest.raises(TakenError) as refused:
        place.run(records.add_account(second))
    assert refused.value.code == "taken"
    assert place.run(records.accounts(limit=10)) == [FULL]
    other = an_account("zoe")
    place.run(records.add_account(other))
    if second.subject != FULL.subject:
        changed = replace(second, subject=other.subject)
        with pytest.raises(TakenError):
            place.run(records.replace_account(changed))
        assert place.run(records.account(other.subject)) == other
        assert place.run(records.find_account("zoe")) == other
    for key in ("ana", "ana@example.org"):
        assert place.run(records.find_account(key)) == FULL
    assert place.run(records.find_account("eve")) is None


def test_a_refused_account_leaves_none_of_its_keys_behind(place, records):
    place.run(records.add_account(FULL))
    with pytest.raises(TakenError):
        place.run(records.add_account(an_account("aaa", email="x", email_key="ana")))
    place.run(records.add_account(an_account("aaa")))
    bob = an_account("bob")
    place.run(records.add_account(bob))
    with pytest.raises(TakenError):
        place.run(records.replace_account(replace(bob, name_key="a new one", email="x", email_key="ana")))
    assert place.run(records.find_account("a new one")) is None
    assert place.run(records.find_account("bob")) == bob
    place.run(records.add_account(an_account("a new one")))


def test_a_replaced_account_is_the_next_version_and_only_the_first_of_two_is_written(place, records):
    place.run(records.add_account(FULL))
    changed = replace(
        FULL, username="Anna", name_key="anna", email="b@c", email_key="b@c", password_hash=None, state="suspended",
        roles=frozenset({"x"}), password_changed_at=None,
    )  # fmt: skip
    assert place.run(records.replace_account(changed)) is True
    assert place.run(records.account(FULL.subject)) == replace(changed, version=2)
    assert place.run(records.replace_account(replace(FULL, username="Late"))) is False
    assert place.run(records.replace_account(replace(changed, version=3))) is False
    assert place.run(records.account(FULL.subject)) == replace(changed, version=2)
    assert place.run(records.replace_account(replace(changed, version=2))) is True
    assert place.run(records.account(FULL.subject)).version == 3
    assert place.run(records.replace_account(an_account("nobody"))) is False


@pytest.mark.ids("SE-08")
def test_an_account_is_current_until_it_is_changed(place, records):
    assert place.run(records.is_current(FULL)) is False
    place.run(records.add_account(FULL))
    place.run(records.add_account(an_account("bob")))
    assert place.run(records.is_current(FULL)) is True
    assert place.run(records.replace_account(replace(FULL, state="suspended")))
    assert place.run(records.is_current(FULL)) is False
    assert place.run(records.is_current(replace(FULL, version=2))) is True
    assert place.run(records.is_current(replace(FULL, version=3))) is False


def test_keys_that_an_account_gave_up_are_free_and_those_that_it_kept_are_not(place, records):
    place.run(records.add_account(FULL))
    assert place.run(records.replace_account(replace(FULL, email="n@w", email_key="n@w")))
    assert place.run(records.find_account("ana@example.org")) is None
    assert place.run(records.find_account("n@w")).subject == FULL.subject
    assert place.run(records.find_account("ana")).subject == FULL.subject
    place.run(records.add_account(an_account("eve", email="x", email_key="ana@example.org")))
    for key in ("ana", "n@w"):
        with pytest.raises(TakenError):
            place.run(records.add_account(an_account("bob", email="x", email_key=key)))


@pytest.mark.ids("ST-02")
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_a_text_and_equals_itself_alone(place, records, text):
    account = an_account(
        text, username=text, roles=frozenset({text}), subject=text, email=text, email_key=f"@{text}"[:255]
    )
    plain = an_account("ana")
    place.run(records.add_account(plain))
    place.run(records.add_account(account))
    assert place.run(records.find_account(text)) == account
    assert place.run(records.find_account(f"@{text}"[:255])) == account
    assert place.run(records.account(text)) == account
    assert place.run(records.find_account("ana")) == plain
    if len(text) < 200:
        place.run(records.add_client(ClientRecord(id=text, name=text, created_at=NOW)))
        assert place.run(records.clients())[0].name == text
        assert place.run(records.remove_client(text))
    place.run(records.add_reset(ONE, subject=text, expires_at=NOW))
    assert place.run(records.take_reset(ONE, now=NOW - SMALLEST)) == text


def test_names_are_compared_octet_by_octet(place, records):
    alike = ["ana", "Ana", "ana ", " ana", "aná", "ana\u0301", "\uff41na", "ana\u200b"]
    for number, name in enumerate(alike):
        place.run(records.add_account(an_account(name, subject=str(number))))
        place.run(records.add_client(ClientRecord(id=name, created_at=NOW)))
    for number, name in enumerate(alike):
        assert place.run(records.find_account(name)).subject == str(number)
    assert [client.id for client in place.run(records.clients())] == sorted(alike)


@pytest.mark.parametrize("text", UNSTORABLE)
def test_what_no_database_keeps_is_refused_and_equals_nothing(place, records, text):
    fields = ("subject", "username", "name_key", "email_key")
    broken = [an_account(**{"email": "x", "email_key": "y", field: text}) for field in fields]
    broken += [an_account(roles=frozenset({"ok", text})), an_account(email=text, email_key="x")]
    if text != "x" * 256:
        broken.append(an_account(password_hash=text))
    for account in broken:
        for verb in (records.add_account, records.replace_account):
            with pytest.raises(ValueError, match=r"cannot be stored|characters"):
                place.run(verb(account))
    assert place.run(records.account(text)) is None
    assert place.run(records.find_account(text)) is None
    assert place.run(records.remove_client(text)) is False
    with pytest.raises(ValueError, match=r"cannot be stored|characters"):
        place.run(records.add_client(ClientRecord(id=text, created_at=NOW)))
    with pytest.raises(ValueError, match=r"cannot be stored|characters"):
        place.run(records.add_reset(ONE, subject=text, expires_at=NOW))
    assert place.run(records.accounts(limit=9)) == []


def test_a_value_that_is_none_is_refused(place, records):
    for account in (
        an_account(state="gone"),
        an_account(version=0),
        an_account(email="a@b"),
        an_account(email_key="k"),
    ):
        with pytest.raises(ValueError, match="account"):
            place.run(records.add_account(account))
    for digest in ("", "x" * 64, "ab", "a" * 63 + "\0"):
        with pytest.raises(ValueError, match="64 hexadecimal"):
            place.run(records.add_client(ClientRecord(id="a", secret_digest=digest, created_at=NOW)))
    with pytest.raises(ValueError, match="32 bytes"):
        place.run(records.add_reset(b"short", subject="a", expires_at=NOW))
    zoneless = NOW.replace(tzinfo=None)
    for verb in (
        records.add_account(an_account(created_at=zoneless)),
        records.add_account(an_account(password_changed_at=zoneless)),
        records.add_client(ClientRecord(id="a", created_at=zoneless)),
        records.add_reset(ONE, subject="a", expires_at=zoneless),
    ):
        with pytest.raises(TypeError):
            place.run(verb)
    with pytest.raises(ValueError, match="at least"):
        place.run(records.accounts(limit=0))


def test_times_of_any_zone_are_the_same_moment(place, records):
    zone = datetime(1969, 7, 20, 22, 17, 40, 7).astimezone()
    place.run(records.add_account(an_account(created_at=zone)))
    read = place.run(records.account("id-of-ana")).created_at
    assert (read, read.tzinfo) == (zone, UTC)


# --- walking --------------------------------------------------------------------------------------------------------


def test_a_walk_through_the_accounts_meets_each_once_in_the_order_of_their_names(place, records):
    names = sorted(["b", "a", "B", "ä", "🗝", "\ue000", "zz", "a b"])
    for name in reversed(names):
        place.run(records.add_account(an_account(name)))
    met, after = [], None
    while page := place.run(records.accounts(after=after, limit=3)):
        met += [account.name_key for account in page]
        after = page[-1].name_key
    assert met == names
    assert place.run(records.accounts(after="lone \ud800", limit=3)) == []


# --- damaged rows ---------------------------------------------------------------------------------------------------

DAMAGES = {
    "roles": ["S3kr3t", '{"S3kr3t": 1}', '["S3kr3t", 1]', '[""]', "[" * 100_000, '["\\ud800"]', "1"],
    "state": ["S3kr3t", ""],
    "created_at": [9_000_000_000_000_000_000, -9_000_000_000_000_000_000],
    "password_changed_at": [9_000_000_000_000_000_000],
    "version": [0, -1],
    "username": [""],
    "email": [""],
    "password_hash": [""],
}


@pytest.mark.parametrize("kind", IN_SQL, indirect=True)
@pytest.mark.parametrize(("column", "value"), [(name, value) for name, all_ in DAMAGES.items() for value in all_])
def test_a_row_that_cannot_be_understood_is_named_and_shows_no_value(place, records, column, value):
    others = [an_account("aa"), an_account("zz")]
    for account in (FULL, *others):
        place.run(records.add_account(account))
    literal = value if isinstance(value, int) else f"'{value}'"
    if place.kind.startswith("mariadb"):
        literal = str(literal).replace("\\", "\\\\")
    place.execute(f"UPDATE keyturn_account SET {column} = {literal} WHERE subject = '{FULL.subject}'")
    for verb in (lambda: records.account(FULL.subject), lambda: records.find_account("ana")):
        with pytest.raises(StoreError) as told:
            place.run(verb())
        assert FULL.subject in told.value.cause
        assert column in told.value.cause
        assert "S3kr3t" not in f"{told.value!r} {told.value.cause} {told.value.__cause__!r}"
    assert place.run(records.accounts(limit=9)) == [others[0], "ana", others[1]]
    assert place.run(records.accounts(after="ana", limit=9)) == [others[1]]


@pytest.mark.parametrize("kind", IN_SQL, indirect=True)
@pytest.mark.parametrize(
    "damage", ["created_at = 9000000000000000000", "secret_digest = 'nonsense'", "secret_digest = ''"]
)
def test_a_client_that_cannot_be_understood_is_named_and_hides_no_other(place, records, damage):
    clients = [ClientRecord(id=id_, secret_digest="a" * 64, created_at=NOW) for id_ in ("app", "shop-api", "till")]
    for client in clients:
        place.run(records.add_client(client))
    place.execute(f"UPDATE keyturn_client SET {damage} WHERE id = 'shop-api'")
    assert place.run(records.clients()) == [clients[0], "shop-api", clients[2]]
    assert place.run(records.remove_client("shop-api")) is True
    assert place.run(records.clients()) == [clients[0], clients[2]]


# --- clients and resets ---------------------------------------------------------------------------------------------


def test_clients_come_and_go(place, records):
    public = ClientRecord(id="b", name="The shop's pages", created_at=NOW)
    secret = ClientRecord(id="a", secret_digest="0123456789abcdef" * 4, created_at=NOW + SMALLEST)
    assert place.run(records.clients()) == []
    for client in (public, secret):
        place.run(records.add_client(client))
    assert place.run(records.clients()) == [secret, public]
    with pytest.raises(TakenError, match="client"):
        place.run(records.add_client(replace(secret, name="another")))
    assert place.run(records.clients()) == [secret, public]
    assert place.run(records.remove_client("a")) is True
    assert place.run(records.remove_client("a")) is False
    assert place.run(records.clients()) == [public]


@pytest.mark.ids("AU-10")
def test_a_reset_is_taken_once_and_only_before_it_expires(place, records):
    place.run(records.add_reset(ONE, subject="ana", expires_at=NOW))
    place.run(records.add_reset(OTHER, subject="bob", expires_at=NOW))
    for late in (NOW, NOW + SMALLEST):
        assert place.run(records.find_reset(ONE, now=late)) is None
        assert place.run(records.take_reset(ONE, now=late)) is None
    assert place.run(records.find_reset(ONE, now=NOW - SMALLEST)) == "ana"
    assert place.run(records.take_reset(ONE, now=NOW - SMALLEST)) == "ana"
    assert place.run(records.find_reset(ONE, now=NOW - SMALLEST)) is None
    assert place.run(records.take_reset(ONE, now=NOW - SMALLEST)) is None
    assert place.run(records.take_reset(b"", now=NOW - SMALLEST)) is None
    assert place.run(records.take_reset(OTHER, now=NOW - SMALLEST)) == "bob"


@pytest.mark.ids("AU-10", "DS-02")
def test_a_new_reset_makes_the_one_before_void(place, records):
    place.run(records.add_reset(ONE, subject="ana", expires_at=NOW))
    place.run(records.add_reset(OTHER, subject="ana", expires_at=NOW + SMALLEST))
    assert place.run(records.take_reset(ONE, now=NOW - SMALLEST)) is None
    assert place.run(records.take_reset(OTHER, now=NOW)) == "ana"


# --- at once --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["threads", "tasks"])
def race(request, place):
    if request.param == "tasks" and place.kind in ("postgresql-psycopg", "mariadb-pymysql"):
        place.run(place.records.clients())  # or sixteen would look at the version of the tables first
    return place.race_of_threads if request.param == "threads" else place.race_of_tasks


@pytest.mark.ids("AU-13")
def test_of_sixteen_that_want_one_name_as_name_or_address_exactly_one_gets_it(place, records, race):
    wanted = "ana@example.org"
    accounts = [
        an_account(f"n{n}", name_key=wanted) if n % 2 else an_account(f"n{n}", email=wanted, email_key=wanted)
        for n in range(16)
    ]
    told = race([lambda account=account: records.add_account(account) for account in accounts])
    winners = [account for account, error in zip(accounts, told, strict=True) if error is None]
    assert len(winners) == 1
    assert all(isinstance(error, TakenError) for error in told if error is not None)
    assert place.run(records.find_account(wanted)) == winners[0]
    assert place.run(records.accounts(limit=99)) == winners


@pytest.mark.ids("AU-13")
def test_of_sixteen_accounts_that_take_one_address_exactly_one_gets_it(place, records, race):
    accounts = [an_account(f"n{n:02}") for n in range(16)]
    for account in accounts:
        place.run(records.add_account(account))
    changed = [replace(account, email="a@b", email_key="a@b") for account in accounts]
    told = race([lambda account=account: records.replace_account(account) for account in changed])
    assert sum(result is True for result in told) == 1
    assert sum(isinstance(result, TakenError) for result in told) == 15
    winner = changed[told.index(True)]
    assert place.run(records.find_account("a@b")) == replace(winner, version=2)
    assert [account.version for account in place.run(records.accounts(limit=99))] == [
        2 if account is winner else 1 for account in changed
    ]


def test_of_sixteen_that_change_one_account_exactly_one_does(place, records, race):
    place.run(records.add_account(FULL))
    changed = [replace(FULL, username=f"n{n}", email="x", email_key=f"x{n}") for n in range(16)]
    told = race([lambda account=account: records.replace_account(account) for account in changed])
    assert sorted(told) == [False] * 15 + [True]
    winner = changed[told.index(True)]
    assert place.run(records.account(FULL.subject)) == replace(winner, version=2)
    for number, account in enumerate(changed):
        found = place.run(records.find_account(f"x{number}"))
        assert (found is not None) == (account is winner)


@pytest.mark.ids("AU-10")
def test_of_sixty_four_that_take_one_reset_exactly_one_does(place, records, race):
    place.run(records.add_reset(ONE, subject="ana", expires_at=NOW))
    told = race([lambda: records.take_reset(ONE, now=NOW - SMALLEST)] * 64)
    assert sorted(map(str, told)) == ["None"] * 63 + ["ana"]


# --- the clock ------------------------------------------------------------------------------------------------------


def test_the_clock_is_the_databases_and_in_utc(place, records):
    before = datetime.now(UTC)
    told = place.run(records.now())
    assert told.tzinfo is UTC
    assert before - timedelta(seconds=2) <= told <= datetime.now(UTC) + timedelta(seconds=2)
