"""Marks the spans of abandoned requests, so that they are not errors, for OpenTelemetry's SDK.

    provider.add_span_processor(AbandonedSpans(BatchSpanProcessor(exporter)))

`OpenTelemetryHook` reaches only the span around our middleware.  Those inside have ended when it is
called: FastAPI's or OpenTelemetry's own, if they trace inside, the handler's, the database's.  This
processor sees each as it ends.
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
    """A span processor that looks at each span, then passes it on to another, which exports it.

    A span that ends after the client has left gets the attribute ``asgi_disconnect.cause``:
    ``disconnect``, or ``send_error``.  If it is an error because of that, it stops being one: its
    status becomes unset, and ``error.type`` is removed.  A span that failed for another reason,
    such as a bug in a `finally`, stays an error, and so does one that ended earlier.

    `OpenTelemetryHook` marks the span around our middleware, which is not an error, either.

    Since 0.2.

    :param processor: what exports the spans, such as a `BatchSpanProcessor`.
    """

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Pass on `span`."""
        self._processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass on `span`, or a copy that is marked because the client has left."""
        cause = LEFT.get((span.attributes or {}).get(CAUSE)) or cause_now()
        self._processor.on_end(span if cause is None else _marked(span, cause))

    def shutdown(self) -> None:
        """Shut down the other processor."""
        self._processor.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Make the other processor export what it has."""
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
    """Whether an error of the span comes from the departure, judged by what it says or raises."""
    for event in span.events:
        name = (event.attributes or {}).get("exception.type")
        if isinstance(name, str) and is_name_of_error(name):
            return False
    name = (span.attributes or {}).get("error.type")
    if isinstance(name, str) and not name.isdigit():
        return not is_name_of_error(name)
    # A span ends while the exception that ends it passes, even if that becomes a 500.  But what
    # cleanup calls meanwhile may fail for its own reasons.
    error = sys.exception()
    is_ours = span.kind in {SpanKind.INTERNAL, SpanKind.SERVER}
    return is_ours and error is not None and not is_error(error, cause)
