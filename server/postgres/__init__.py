"""The bundled PostgreSQL: its files, its processes, its locks."""
