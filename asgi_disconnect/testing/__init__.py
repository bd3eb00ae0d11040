"""Tests how a handler takes a disconnect, without a server and without sleeping.

::

    from asgi_disconnect.testing import exchange

    async def test_the_seat_is_given_back():
        async with exchange(app, "/book", server="hypercorn") as client:
            await client.until_working()
            client.disconnect()
            result = await client.result()
        assert result.outcome == "cancelled"
        assert seats.free == 1

`exchange()` runs one request of any ASGI app, on asyncio or on trio, with or without
`DisconnectMiddleware`: without it the same test shows what the middleware is for.  In a test that
is not async, ``with exchange(...)`` gives the same client without ``await``.

In pytest, the fixture `asgi_exchange` is `exchange`, played as each server in turn.

Django's `TestCase` can do both.  In an ``async def test_...`` the views use the test's own database
connection and so see its transaction; under ``with exchange(...)`` they run in another thread and
use another connection, so you need `TransactionTestCase`.
"""

from ._behaviours import BEHAVIOURS, Behaviour, ServerName
from ._blocking import BlockingClient, BlockingWebSocketClient
from ._client import Client
from ._played import Played, exchange
from ._result import Outcome, Result, WebSocketResult
from ._waiting import NeverHappened, Signal
from ._websocket_behaviours import WEBSOCKET_BEHAVIOURS, WebSocketBehaviour
from ._websocket_client import WebSocketClient
from ._websocket_played import PlayedWebSocket, websocket_exchange

__all__ = [
    "BEHAVIOURS",
    "WEBSOCKET_BEHAVIOURS",
    "Behaviour",
    "BlockingClient",
    "BlockingWebSocketClient",
    "Client",
    "NeverHappened",
    "Outcome",
    "Played",
    "PlayedWebSocket",
    "Result",
    "ServerName",
    "Signal",
    "WebSocketBehaviour",
    "WebSocketClient",
    "WebSocketResult",
    "exchange",
    "websocket_exchange",
]
