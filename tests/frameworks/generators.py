"""Async generators that a framework or client, once stopped, leaves to be collected.

On trio that warns; asyncio's loop closes them in silence.  It happens wrapped or not (Starlette
before 1.10 does it at every turn), and is not what is tested here.
"""

import pytest

left_to_be_collected = pytest.mark.filterwarnings(
    "ignore:Async generator '(?!asgi_disconnect):ResourceWarning"
)
