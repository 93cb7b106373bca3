"""Keys in a directory, one file each: what `keyturn serve` uses, and any application on one machine or a shared disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from os import PathLike, urandom
from pathlib import Path

from .._key_json import KeyText, files_of, read_ring
from ..errors import ConfigurationError
from ..keys import KeyRing, Purpose, completed, remove, rotate_access, rotate_refresh
from . import _files, now_utc

_LOG = logging.getLogger("keyturn.keys")


@dataclass(frozen=True, slots=True)
class _Held:
    ring: KeyRing
    digest: bytes


class DirectoryKeys:
    """A key source over a directory, made with fresh keys where it is missing or empty.

    Each key is a file, ``access-<thumbprint>.json`` or ``refresh-<number>.json``: a private JWK (RFC 7517) with the
    times ``created_at`` and ``signs_from``, as ISO 8601 in UTC. Of a removed refresh key its number stays, as
    ``{"kid": "4", "spent_until": "2027-12-28T10:00:00Z"}``. Every file has mode 0600, the directory 0700. Files are
    written whole, and a rotation adds one file, so readers need no lock and a kill at any moment leaves a ring;
    processes that change the ring take turns.

    Args:
        path: the directory.
        algorithm: what fresh access keys sign with: ``ES256``, ``Ed25519`` or ``RS256``.
        eddsa_alias: whether Ed25519 keys are also accepted under the older name ``EdDSA`` (RFC 9864 section 2.2).
        clock: tells the time, aware UTC.
        entropy: gives as many random bytes as it is asked for.

    Raises:
        ConfigurationError: with a sentence for every file that others may read, that is broken or foreign, and for a
            directory that cannot be made, read or written.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        algorithm: str = "ES256",
        eddsa_alias: bool = False,
        clock: Callable[[], datetime] = now_utc,
        entropy: Callable[[int], bytes] = urandom,
    ) -> None:
        self._path = Path(path)
        self._algorithm = algorithm
        self._eddsa_alias = eddsa_alias
        self._clock = clock
        self._entropy = entropy
        self._trouble: ConfigurationError | None = None
        self._held = self._read()
        if not _is_whole(self._held.ring):
            _files.make(self._path)
            self.change(self._completed)

    def __repr__(self) -> str:
        return f"DirectoryKeys({str(self._path)!r})"

    @property
    def ring(self) -> KeyRing:
        """The ring in memory."""
        return self._held.ring

    @property
    def trouble(self) -> ConfigurationError | None:
        """Why the last `reload` kept the ring it had, None where it could read."""
        return self._trouble

    def reload(self) -> KeyRing:
        """Read the directory again; the same object where nothing changed, the old ring where it cannot be read.

        A directory that vanished, lost a last key, or holds a broken file takes no keys away from a running process:
        that would sign everybody out. It is logged once, and `trouble` says so until it is mended.
        """
        try:
            held = self._read_whole()
        except ConfigurationError as trouble:
            self._complain(trouble)
        else:
            self._trouble = None
            self._held = held
        return self._held.ring

    def read(self) -> KeyRing:
        """Read the directory and give the ring as it is there; ConfigurationError where `reload` would keep the old."""
        return self._read_whole().ring

    def rotate(self, purpose: Purpose) -> KeyRing:
        """Add a key that takes over as soon as every process and every copy of the JWKS knows it.

        Raises:
            ConfigurationError: all refresh key ids are taken, or the directory cannot be read or written.
        """
        rule = rotate_access if purpose == "access" else rotate_refresh
        return self.change(partial(rule, now=self._clock(), entropy=self._entropy))

    def remove(self, key_id: str) -> KeyRing:
        """Take a key out at once: what an access key signed is refused, whom a refresh key sealed is signed out.

        Raises:
            ConfigurationError: there is no such key, or the directory cannot be read or written.
        """
        return self.change(partial(remove, key_id=key_id, now=self._clock(), entropy=self._entropy))

    def change(self, rule: Callable[[KeyRing], KeyRing]) -> KeyRing:
        """Let a rule make a new ring of the one on disk, and write the difference, while others wait.

        Args:
            rule: takes the ring that is, gives the ring that should be.

        Raises:
            ConfigurationError: the directory cannot be read or written. Then no key is lost that should stay, and a key
                that should go may still be there.
        """
        with _files.exclusive(self._path):
            before = self._read().ring
            self._write(before, rule(before))
            self._held = self._read()
        return self._held.ring

    def _completed(self, ring: KeyRing) -> KeyRing:
        if not ring.keys:
            _files.close_to_others(self._path)
        return completed(ring, now=self._clock(), entropy=self._entropy, algorithm=self._algorithm)

    def _read_whole(self) -> _Held:
        held = self._read()
        if not _is_whole(held.ring):
            raise ConfigurationError([f"{self._path} has lost its keys, or is gone: restore it from a copy."])
        return held

    def _read(self) -> _Held:
        contents = _files.read_all(self._path)
        digest = _digest(contents)
        held: _Held | None = getattr(self, "_held", None)
        if held is not None and held.digest == digest:
            return held
        return _Held(_ring_of(self._path, contents, eddsa_alias=self._eddsa_alias), digest)

    def _write(self, before: KeyRing, after: KeyRing) -> None:
        old, new = files_of(before), files_of(after)
        added = [name for name in new if name not in old]
        # First what is new: whatever happens in between, there is a key that signs.
        try:
            for name in added:
                _files.write(self._path, name, new[name])
        except OSError:
            self._take_back(added)
            raise
        for name in new:
            if name in old and new[name] != old[name]:
                _files.write(self._path, name, new[name])
        for name in old:
            if name not in new:
                _files.delete(self._path, name)

    def _take_back(self, names: list[str]) -> None:
        for name in names:
            with suppress(OSError):
                _files.delete(self._path, name)

    def _complain(self, trouble: ConfigurationError) -> None:
        known = self._trouble
        self._trouble = trouble
        if known is None or known.faults != trouble.faults:
            _LOG.error("Keyturn goes on with the keys in memory: %s", " ".join(trouble.faults))


def look(path: str | PathLike[str]) -> KeyRing:
    """Give the ring that a directory holds, and make nothing: it may be empty, and may not be enough to sign with.

    Args:
        path: the directory; where there is none, there are no keys.

    Raises:
        ConfigurationError: as for `DirectoryKeys`.
    """
    return _ring_of(Path(path), _files.read_all(Path(path)), eddsa_alias=False)


def _ring_of(path: Path, contents: dict[str, KeyText], *, eddsa_alias: bool) -> KeyRing:
    reading = read_ring({str(path / name): text for name, text in contents.items()}, eddsa_alias=eddsa_alias)
    if reading.ring is None:
        raise ConfigurationError(reading.faults)
    return reading.ring


def _is_whole(ring: KeyRing) -> bool:
    return ring.has("access") and ring.has("refresh")


def _digest(contents: dict[str, KeyText]) -> bytes:
    """Tell one content of the directory from another without keeping secrets twice."""
    hashes = (sha256(name.encode() + b"\0" + text).digest() for name, text in sorted(contents.items()))
    return sha256(b"".join(hashes)).digest()
