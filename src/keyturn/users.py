"""What an application supplies: its users, and the programs that may ask in their name."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol, cast

from .errors import ConfigurationError

_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})
#: The client of a sign-in that names none; nobody can register it.
DEFAULT_CLIENT: Final = "default"


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """A user, as far as sessions care.

    Args:
        subject: the user's opaque id, at most 255 characters; it never changes and is never given to another user.
        disabled: True where the user may not be signed in (unverified, suspended, deleted).
        scopes: everything that the user may be granted.
        claims: what access tokens shall say besides; plain JSON, none of the reserved names.
        source: the application's own user object, handed through to its hooks.

    Raises:
        ConfigurationError: the scopes are one text, or one of them is none or has a blank in it: in a token that
            would read as other scopes (RFC 6749 section 3.3).
    """

    subject: str
    disabled: bool = False
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=lambda: _NO_CLAIMS)
    source: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scopes", _checked(self.scopes))


def _checked(scopes: object) -> frozenset[str]:
    if isinstance(scopes, Iterable) and not isinstance(scopes, str):
        found = frozenset(cast("Iterable[object]", scopes))
        if all(isinstance(scope, str) and scope.split() == [scope] for scope in found):
            return cast("frozenset[str]", found)
    raise ConfigurationError(['a principal\'s scopes must be a set of words, such as frozenset({"read", "write"})'])


class Users(Protocol):
    """All that an application must supply; each method may be plain or ``async``."""

    def authenticate(
        self, username: str, password: str, request: Any, /
    ) -> Principal | None | Awaitable[Principal | None]:
        """Give the user whose name and password these are, else None.

        It takes as long for an unknown name as for a wrong password (hash a dummy), and it raises where it cannot
        tell; `request` is the framework's own, None outside HTTP.
        """
        ...

    # A class may offer more: ``reauthenticate(subject, password, request) -> bool`` answers /step-up without a user name.

    def load(self, subject: str, /) -> Principal | None | Awaitable[Principal | None]:
        """Give the user of that id from the primary database, None where there is none; raise where it cannot tell."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredClient:
    """A program that users sign in with (RFC 6749 section 2).

    Args:
        id: the client_id; never equal to a user's subject.
        secret_digest: SHA-256 of the client's secret in hexadecimal; None for a public client.
    """

    id: str
    secret_digest: str | None = field(default=None, repr=False)

    @classmethod
    def from_toml(
        cls, path: str | os.PathLike[str], *, environment: Mapping[str, str] | None = None
    ) -> tuple[RegisteredClient, ...]:
        """Give the clients of a file's ``[[clients]]`` tables.

        Args:
            path: a TOML file, mostly ``keyturn.toml``.
            environment: the process's own where left out; ``{}`` for the file alone.

        Raises:
            ConfigurationError: with every fault that was found, in the file's other tables too; no secret is shown.
        """
        from ._loading import load_configuration

        return load_configuration(path, environment=environment).clients
