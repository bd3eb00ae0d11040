"""Stops the work of ASGI applications whose clients have left."""

from .disconnect import ClientDisconnected, Disconnect, current_disconnect
from .middleware import DisconnectMiddleware
from .report import DisconnectReport

__all__ = [
    "ClientDisconnected",
    "Disconnect",
    "DisconnectMiddleware",
    "DisconnectReport",
    "current_disconnect",
]
__version__ = "0.1.0"
