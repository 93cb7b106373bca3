"""PostgreSQL and MariaDB, through SQLAlchemy's Core: `SqlAlchemyStore` over an Engine or an AsyncEngine.

    store = SqlAlchemyStore(engine)                    # your own engine, or
    store = stores.open("postgresql://user@host/db")   # one of the store's

Tables are made and changed by `upgrade`, once per release:

    from keyturn.stores.sqlalchemy import upgrade

    upgrade(engine)            # await upgrade(engine) with an AsyncEngine
"""

from __future__ import annotations

from ._store import SqlAlchemyStore as SqlAlchemyStore
from .migrations import downgrade as downgrade, upgrade as upgrade

__all__ = ["SqlAlchemyStore", "downgrade", "upgrade"]
