"""Hooks for ``on_disconnect=`` (contract §7): logs, metrics, tracing, Sentry.

Each has its own module, which imports its library: import only those that you use.
"""
