"""What becomes of a database's work when a client leaves, on a real PostgreSQL and on SQLite."""
