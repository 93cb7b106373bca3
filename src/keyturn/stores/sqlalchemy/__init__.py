"""PostgreSQL and MariaDB, through SQLAlchemy's Core."""
