"""Counters in PostgreSQL or MariaDB, shared by all workers, through SQLAlchemy."""
