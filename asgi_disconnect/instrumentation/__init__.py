"""Hooks for ``on_disconnect=`` (contract §7): `logging`, `prometheus` and `opentelemetry`.

Each is a module of its own, to be imported by who uses it: only that imports the library.
"""
