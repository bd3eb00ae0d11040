"""Whether what ends now belongs to a request whose client has left.

Tracing that runs inside the middleware ends its spans before any hook is called.  But the
exchange's `Disconnect` is in the context there, and says why the span ends.
"""

from typing import Final, Literal

from .._disconnect import current_disconnect

Left = Literal["disconnect", "send_error"]

LEFT: Final[dict[object, Left]] = {"disconnect": "disconnect", "send_error": "send_error"}
"""The causes that are the client's.  For the others it gets a response, which says what it is."""


def cause_now() -> Left | None:
    """Why the client of the current exchange is not there any more; None if it is, or may be."""
    disconnect = current_disconnect(None)
    return None if disconnect is None else LEFT.get(disconnect.cause)
