"""Tells whether what ends now belongs to a request whose client has left.

Tracing inside the middleware ends its spans before any hook is called.  But the exchange's
`Disconnect` is in the context there, and tells why the span ends.
"""

from typing import Final, Literal

from .._disconnect import current_disconnect

Left = Literal["disconnect", "send_error"]

LEFT: Final[dict[object, Left]] = {"disconnect": "disconnect", "send_error": "send_error"}
"""The causes that are the client's.  For the others, the client gets a response that says why."""


def cause_now() -> Left | None:
    """Why the client of the current exchange has left; None if it is there, or may be."""
    disconnect = current_disconnect(None)
    return None if disconnect is None else LEFT.get(disconnect.cause)
