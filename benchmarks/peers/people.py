"""The users that every peer knows, and what a peer's program is told on its command line."""

from __future__ import annotations

import argparse

#: Everybody's: what a sign-in costs is not what is measured.
PASSWORD = "seven swans a-swimming"


def user_names(count: int) -> list[str]:
    """Give the names of so many users."""
    return [f"user-{number}" for number in range(1, count + 1)]


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Give what all peers understand."""
    text = (doc or "").partition("\n")[0]
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--port", type=int, required=True, help="where to listen, on the loopback interface")
    made.add_argument("--users", type=int, default=50, help="how many users: user-1, user-2 …")
    made.add_argument("--password", default=PASSWORD, help="that of each of them")
    return made


def django_parser(doc: str | None) -> argparse.ArgumentParser:
    """Give what the peers in Django understand."""
    made = parser(doc)
    made.add_argument("--database", required=True, metavar="URL", help="an empty database: postgresql://…")
    made.add_argument("--workers", type=int, default=2, help="processes that answer")
    return made
