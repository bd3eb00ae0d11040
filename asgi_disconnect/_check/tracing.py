"""Finds the layer of an app that keeps the disconnect from those inside it.

It patches each layer's class to tell what becomes of the `receive()` that it was given: if one
still waits after the client has left, the layer outside it has not passed the disconnect on.
"""

from dataclasses import dataclass
from typing import Any, Final

from .._types import Message, Receive, Scope, Send
from .following import DISCONNECTS
from .target import Layer, stack_of

CALLS: Final = "asgi_disconnect._check.calls"
"""The scope's key for the list of layers that have been called."""


@dataclass
class Call:
    """One layer's turn in one request."""

    place: int
    """Its index in the stack, from the outside in."""
    waiting: int = 0
    heard: bool = False

    @property
    def in_vain(self) -> bool:
        """Whether it waits for ever."""
        return self.waiting > 0 and not self.heard


class Trace:
    """The layers of an app, which from now on tell what they get."""

    def __init__(self, app: Any) -> None:
        self._layers: list[Layer] = []
        self._classes: list[type[Any] | None] = []
        for layer, its_class in stack_of(app):
            self._layers.append(layer)
            self._classes.append(its_class)
        for each in {found for found in self._classes if found is not None}:
            self._patch(each)

    def _patch(self, layer_class: type[Any]) -> None:
        original = layer_class.__call__

        async def traced(layer: Any, scope: Scope, receive: Receive, send: Send) -> Any:
            calls: list[Call] | None = scope.get(CALLS)
            if calls is None:
                return await original(layer, scope, receive, send)
            call = Call(self._place_of(layer_class, calls))
            calls.append(call)

            async def traced_receive() -> Message:
                call.waiting += 1
                try:
                    message = await receive()
                finally:
                    call.waiting -= 1
                call.heard = call.heard or message.get("type") in DISCONNECTS
                return message

            return await original(layer, scope, traced_receive, send)

        layer_class.__call__ = traced

    def _place_of(self, layer_class: type[Any], calls: list[Call]) -> int:
        start = calls[-1].place + 1 if calls else 0
        places = range(start, len(self._classes))
        return next((n for n in places if self._classes[n] is layer_class), start)

    def hiders(self, calls: list[Call]) -> list[str]:
        """The layers of which one keeps the disconnect: usually one, or none."""
        outside = None
        for call in calls:
            if call.in_vain:
                if outside is None:
                    return []
                return [layer.name for layer in self._layers[outside.place : call.place]]
            outside = call
        return []
