"""The migrations, one file each; Alembic reads them by their place."""
