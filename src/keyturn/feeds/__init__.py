"""Where floors come from: the port through which a verifier reads the revocation log.

A store is a feed already. A program without a store gets one that asks the issuer over HTTP.
"""

from __future__ import annotations

from typing import Protocol

from ..stores import Revocations


class Feed(Protocol):
    """What a verifier reads its floors from."""

    async def revocations(self, after: str | None) -> Revocations:
        """Give the log's entries after a position in commit order, all of them after None; duplicates are allowed.

        A position older than the log gives all entries and says so (``complete=False``).

        Raises:
            StoreError: the log cannot be read now.
        """
        ...
