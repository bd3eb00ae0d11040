"""Spans of abandoned requests that are marked, and no errors, for OpenTelemetry's SDK.

    provider.add_span_processor(AbandonedSpans(BatchSpanProcessor(exporter)))

`OpenTelemetryHook` reaches the span that is around our middleware, and that one alone.  Those
inside have ended when it is called: of FastAPI's own tracing or of OpenTelemetry's middleware if
they are inside, of the handler, of the database.  This sees each as it ends.
"""

import sys
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from ._abandoned import LEFT, Left, cause_now
from .errors import is_error, is_name_of_error

CAUSE: Final = "asgi_disconnect.cause"


class AbandonedSpans(SpanProcessor):
    """Hands each span on to another processor, which exports it, and looks at it before.

    A span that ends after the client has left gets the attribute ``asgi_disconnect.cause``:
    ``disconnect``, or ``send_error``.  If it is an error because of that, it is none any more: its
    status is unset, and ``error.type`` is gone.  A span that failed for another reason, as by a bug
    in a `finally`, stays an error, and so does one that ended before.

    The spans around our middleware are marked by `OpenTelemetryHook`, and are no errors either.

    Since 0.2.

    :param processor: what exports the spans: a `BatchSpanProcessor`, for one.
    """

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Hand on `span`."""
        self._processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand on `span`, or one that says that the client has left."""
        cause = LEFT.get((span.attributes or {}).get(CAUSE)) or cause_now()
        self._processor.on_end(span if cause is None else _marked(span, cause))

    def shutdown(self) -> None:
        """Shut the other processor down."""
        self._processor.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Have the other processor export what it has."""
        return self._processor.force_flush(timeout_millis)


def _marked(span: ReadableSpan, cause: Left) -> ReadableSpan:
    attributes = {**(span.attributes or {}), CAUSE: cause}
    status = span.status
    if _ended_by_departure(span, cause):
        attributes.pop("error.type", None)
        if status.status_code is StatusCode.ERROR:
            status = Status(StatusCode.UNSET)
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _ended_by_departure(span: ReadableSpan, cause: Left) -> bool:
    """Whether an error of the span is the departure, by what it says of itself, or raises."""
    for event in span.events:
        name = (event.attributes or {}).get("exception.type")
        if isinstance(name, str) and is_name_of_error(name):
            return False
    name = (span.attributes or {}).get("error.type")
    if isinstance(name, str) and not name.isdigit():
        return not is_name_of_error(name)
    # A span ends while the exception that ends it passes, be that answered with a 500.  But what
    # the cleanup calls in the meantime may fail for a reason of its own.
    error = sys.exception()
    is_ours = span.kind in {SpanKind.INTERNAL, SpanKind.SERVER}
    return is_ours and error is not None and not is_error(error, cause)
