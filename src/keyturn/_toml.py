"""A TOML file, read; whatever is wrong with it is told with its place and without its secrets."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from ._validation import shown
from .errors import ConfigurationError

_AT_LINE: Final = re.compile(r" ?\(at line ([0-9]+), column [0-9]+\)")
#: A line with one of these may hold a secret, whatever its value looks like.
_TELLING: Final = re.compile(r"secret|passw|digest|token|store|://", re.IGNORECASE)


def read_toml(path: Path) -> dict[str, Any]:
    """Give a TOML file's content.

    Args:
        path: the file, in UTF-8.

    Raises:
        ConfigurationError: where it cannot be read, is not UTF-8 or not TOML; the line is shown.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # some editors put a mark in front
    except FileNotFoundError:
        raise ConfigurationError([f"{path}: there is no such file"]) from None
    except IsADirectoryError:
        raise ConfigurationError([f"{path}: this is a folder; give the file in it"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationError([f"{path}: line {line}: not in UTF-8; save the file in that encoding"]) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or "no such path"
        raise ConfigurationError([f"{path}: cannot be read: {why}"]) from None
    return _parsed(text, path)


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = f"{path}: {_located(str(error), text)}"
    except RecursionError:
        fault = f"{path}: nested too deeply"
    raise ConfigurationError([fault])


def _located(message: str, text: str) -> str:
    match = _AT_LINE.search(message)
    if match is None:
        return f"not TOML: {message}"
    number = int(match[1])
    line = text.split("\n")[number - 1].strip()
    seen = "(the line is not shown here)" if _TELLING.search(line) else shown(line)
    return f"line {number}: not TOML: {_AT_LINE.sub('', message)}: {seen}"
