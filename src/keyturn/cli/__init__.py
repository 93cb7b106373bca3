"""The command line. Its libraries come with the extra ``server``; without them it says how to get them."""

from __future__ import annotations

import sys
from typing import Final

#: What the extra brings that the commands import.
_OF_THE_EXTRA: Final = frozenset({"anyio", "click", "httptools", "rich", "starlette", "uvicorn"})


def main() -> None:
    """Run the program ``keyturn``: exit code 0 done, 1 refused or not found, 2 wrong usage."""
    try:
        from .commands import keyturn
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _OF_THE_EXTRA:
            raise
        sys.exit(f"The command line needs {missing}, which is not installed: pip install 'keyturn[server]'")
    keyturn()


__all__ = ["main"]
