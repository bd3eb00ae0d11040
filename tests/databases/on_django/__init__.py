"""Django's ORM, with sync and async views, on PostgreSQL and on SQLite."""
