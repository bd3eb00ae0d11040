"""Hooks for ``on_disconnect=`` (contract §7): logs, metrics, tracing, Sentry.

Each is a module of its own, to be imported by who uses it: only that imports the library.
"""
