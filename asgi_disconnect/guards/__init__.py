"""What runs the app and the tasks beside it: one guard for each back end.

A guard knows nothing of messages or of how a body is kept; an exchange knows nothing of tasks.
"""

from .on_asyncio import AsyncioGuard
from .on_trio import TrioGuard

__all__ = ["AsyncioGuard", "TrioGuard"]
