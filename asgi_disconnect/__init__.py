"""Stops the work of ASGI applications whose clients have left."""

from ._disconnect import CallbackHandle, ClientDisconnected, Disconnect, current_disconnect
from ._interrupting import interrupting
from ._middleware import DisconnectMiddleware
from ._report import DisconnectReport

__all__ = [
    "CallbackHandle",
    "ClientDisconnected",
    "Disconnect",
    "DisconnectMiddleware",
    "DisconnectReport",
    "current_disconnect",
    "interrupting",
]
__version__ = "0.2.0"

# So that tracebacks and reprs name the module that users import from.
for _name in __all__:
    globals()[_name].__module__ = __name__
