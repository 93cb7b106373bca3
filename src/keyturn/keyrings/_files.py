"""Files that only their owner reads, written whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import Final

from .._key_json import KeyText
from ..errors import ConfigurationError

#: Ours are hidden, so that no listing mixes them up with keys.
LOCK: Final = ".lock"
UNFINISHED: Final = ".unfinished-"
_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700
#: A 16384-bit RSA key takes a quarter of this.
_MOST_BYTES: Final = 65536
#: Changes are rare; a directory that changes during every one of so many readings is not one of keys.
_MOST_LISTINGS: Final = 5
#: Windows keeps no such bits: there the directory's access list is the owner's business.
_HAS_MODES: Final = sys.platform != "win32"


def read_all(directory: Path) -> dict[str, KeyText]:
    """Read every file of a directory but hidden ones; nothing where the directory does not exist.

    Raises:
        ConfigurationError: with a sentence for each file that others may read, or that cannot be read.
    """
    try:
        read = _read_settled(directory)
        faults = _directory_faults(directory, empty=all(name.startswith(".") for name in read))
    except FileNotFoundError:
        return {}
    except OSError as trouble:
        raise unusable(directory, trouble) from None
    faults += [each for each in read.values() if isinstance(each, str)]
    if faults:
        raise ConfigurationError(faults)
    return {name: text for name, text in read.items() if isinstance(text, KeyText) and not name.startswith(".")}


def make(directory: Path) -> None:
    """Make a directory that is its owner's alone; one that is there stays as it is."""
    try:
        directory.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    except OSError as trouble:
        raise unusable(directory, trouble) from None


def write(directory: Path, name: str, text: KeyText) -> None:
    """Put a file in its place as a whole, durably; what was there under the name is there until then."""
    unfinished = directory / f"{UNFINISHED}{os.getpid()}-{name}"
    try:
        _write_through(unfinished, text)
        unfinished.replace(directory / name)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise
    _make_durable(directory)


def delete(directory: Path, name: str) -> None:
    """Take a file away, durably; one that is not there is not missed."""
    (directory / name).unlink(missing_ok=True)
    _make_durable(directory)


@contextmanager
def exclusive(directory: Path) -> Generator[None]:
    """Keep every other process out while the files change, and clean up after those that died.

    The system lets go of the lock when its owner dies, so what a killed writer left can be told from what one is
    writing: whoever has the lock may delete all unfinished files.
    """
    try:
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE)
    except OSError as trouble:
        raise unusable(directory, trouble) from None
    try:
        _wait_for(lock)
        for left in directory.glob(f"{UNFINISHED}*"):
            delete(directory, left.name)
        yield
    except OSError as trouble:
        raise unusable(directory, trouble) from None
    finally:
        os.close(lock)


def close_to_others(directory: Path) -> None:
    """Let nobody else look into a directory that somebody made for us with the usual permissions."""
    if _HAS_MODES:
        directory.chmod(_PRIVATE_DIRECTORY)


def unusable(path: Path, trouble: OSError) -> ConfigurationError:
    """Say that a place cannot be used, and why."""
    if isinstance(trouble, FileExistsError | NotADirectoryError):
        return ConfigurationError([f"{path} is not a directory: name one, or a path where one can be made."])
    return ConfigurationError([f"The key directory {path} cannot be used: {trouble.strerror or 'unknown trouble'}."])


def _directory_faults(directory: Path, *, empty: bool) -> list[str]:
    mode = directory.stat().st_mode
    # Who may write there may plant keys; who may look there learns when a file is open for a moment. An empty one that
    # others may only look at is made private when it gets its keys.
    if _HAS_MODES and stat.S_ISDIR(mode) and mode & (0o022 if empty else 0o027):
        return [f"{directory} is open to others (mode {mode & 0o777:o}): run `chmod 700 {quote(str(directory))}`."]
    return []


def _read_settled(directory: Path) -> dict[str, KeyText | str | None]:
    read: dict[str, KeyText | str | None] = {}
    for _ in range(_MOST_LISTINGS):
        read = {path.name: _read(path) for path in sorted(directory.iterdir())}
        # A file that went after it was listed has a successor, perhaps, that came after: look again.
        if None not in read.values():
            break
    return read


def _read(path: Path) -> KeyText | str | None:
    """Read one file; a sentence where that must not be, None where it has gone."""
    try:
        # A pipe must not keep us waiting.
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        # What a link leads to may be missing for good; that is not a file that went.
        return f"{path} leads nowhere." if path.is_symlink() else None
    except OSError as trouble:
        return f"{path} cannot be read: {trouble.strerror}."
    try:
        return _read_opened(opened, path)
    except OSError as trouble:
        return f"{path} cannot be read: {trouble.strerror}."
    finally:
        os.close(opened)


def _read_opened(opened: int, path: Path) -> KeyText | str | None:
    mode = os.fstat(opened).st_mode
    if not stat.S_ISREG(mode):
        hidden = path.name.startswith(".")
        return KeyText() if hidden else f"{path} is not a key file: take it out of the key directory."
    if _HAS_MODES and mode & 0o077:
        return f"Others may read or change {path} (mode {mode & 0o777:o}): run `chmod 600 {quote(str(path))}`."
    with os.fdopen(os.dup(opened), "rb") as file:
        text = KeyText(file.read(_MOST_BYTES + 1))
    return text if len(text) <= _MOST_BYTES else f"{path} is too long for a key file."


def _write_through(path: Path, text: KeyText) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE)
    try:
        written = 0
        while written < len(text):
            written += os.write(opened, text[written:])
        os.fsync(opened)
    finally:
        os.close(opened)


def _make_durable(directory: Path) -> None:
    if sys.platform == "win32":  # a directory cannot be opened there, and its entries are durable with the file
        return
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


if sys.platform == "win32":
    import msvcrt

    def _wait_for(lock: int) -> None:
        msvcrt.locking(lock, msvcrt.LK_LOCK, 1)

else:
    import fcntl

    def _wait_for(lock: int) -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)
