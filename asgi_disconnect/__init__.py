"""Stops the work of ASGI applications whose clients have left."""

from .middleware import DisconnectMiddleware

__all__ = ["DisconnectMiddleware"]
__version__ = "0.1.0"
