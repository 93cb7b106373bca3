"""The stand-alone server's accounts without a server: records in memory, passwords hashed in no time, one clock."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from keyturn._build import Chance
from keyturn._colour import drive
from keyturn.events import Event
from keyturn.keyrings.static import testing_keys
from keyturn.server import argon2id, old_hashes
from keyturn.server.accounts import Accounts
from keyturn.server.argon2id import Cost
from keyturn.server.hashing import Hashing
from keyturn.server.records import Account, Records
from keyturn.server.records.memory import MemoryRecords
from keyturn.server.users import ServerUsers
from keyturn.sessions import Sessions
from keyturn.settings import Settings
from keyturn.stores.memory import MemoryStore
from keyturn.testing.clock import ManualClock
from keyturn.testing.entropy import CountingEntropy
from keyturn.tokens import TokenPair
from keyturn.users import Principal

ISSUER = "https://id.example.org"
PASSWORD = "correct horse battery staple"
OTHER = "an umbrella in a teacup"
#: The least that argon2 can do: milliseconds for a hundred.
CHEAP = Cost(memory=8, passes=1)


class Listening:
    """Sessions' blocking users over `ServerUsers`: what they would await does not wait here."""

    def __init__(self, users: ServerUsers) -> None:
        self.users = users

    def authenticate(self, username: str, password: str, request: Any) -> Principal | None:
        return drive(self.users.authenticate(username, password, request))

    def load(self, subject: str) -> Principal | None:
        return drive(self.users.load(subject))


@dataclass
class Office:
    """Accounts, and the sessions of their users."""

    clock: ManualClock = field(default_factory=ManualClock)
    records: Records = field(default_factory=MemoryRecords)
    store: Any = field(default_factory=MemoryStore)
    hashing: Hashing = field(default_factory=lambda: Hashing(cost=CHEAP, entropy=CountingEntropy()))
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        chance = Chance(clock=self.clock, entropy=CountingEntropy())
        self.users = ServerUsers(self.records, self.hashing)
        self.sessions = Sessions(
            Settings(issuer=ISSUER), self.store, testing_keys(), users=Listening(self.users),
            listeners=[self.events.append], chance=chance,
        )  # fmt: skip
        self.accounts = Accounts(self.records, self.hashing, self.sessions, issuer=ISSUER, chance=chance)

    def hire(self, username: str = "ada", **more: Any) -> Account:
        """Make an account that may sign in."""
        return self.accounts.create(username, **{"password": PASSWORD, **more})

    def prove(self, username: str, password: str) -> Principal | None:
        """Try a password."""
        return drive(self.users.authenticate(username, password, None))

    def sign_in(self, username: str = "ada", password: str = PASSWORD) -> TokenPair:
        """Start a session as a login does."""
        principal = self.prove(username, password)
        assert principal is not None
        return self.sessions.start(principal)

    def reasons(self) -> list[str]:
        """Why sessions ended, in the order of the events."""
        return [event.reason.value for event in self.events if hasattr(event, "reason") and event.session is not None]  # type: ignore[attr-defined]


@dataclass
class HashCount:
    """How many password hashes were computed."""

    made: int = 0
    checked: int = 0

    @property
    def all(self) -> int:
        return self.made + self.checked


def counted_hashes(patch: pytest.MonkeyPatch) -> HashCount:
    """Count at the primitives themselves, whoever calls them."""
    count = HashCount()
    real_make, real_verify = argon2id.hash_secret, argon2id.verify_secret
    real_scrypt = old_hashes.hashlib.scrypt

    def make(*args: Any, **kwargs: Any) -> Any:
        count.made += 1
        return real_make(*args, **kwargs)

    def verify(*args: Any, **kwargs: Any) -> Any:
        count.checked += 1
        return real_verify(*args, **kwargs)

    def scrypt(*args: Any, **kwargs: Any) -> Any:
        count.checked += 1
        return real_scrypt(*args, **kwargs)

    patch.setattr(argon2id, "hash_secret", make)
    patch.setattr(argon2id, "verify_secret", verify)
    patch.setattr(old_hashes.hashlib, "scrypt", scrypt)
    return count
