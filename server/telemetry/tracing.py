"""Traces for OpenTelemetry, by its own instrumentations of aiohttp and asyncpg; needs the extra `tracing`.

A span leaves the process only with the attributes of SHOWN: the instrumentations also record paths, which may have the
token of a letter, and texts of errors, which quote rows (security 34). Only a process that traces imports this module.
"""

import asyncio
import contextlib
import logging
import os
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor, create_aiohttp_middleware
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator, default_getter, default_setter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.status import Status

from server import __version__
from server.resources import statements
from server.telemetry.logs import request_id

SHOWN = frozenset(
    {
        *("http.method", "http.request.method", "http.route", "http.status_code", "http.response.status_code"),
        *("http.scheme", "url.scheme", "http.flavor", "network.protocol.version"),
        *("db.system", "db.system.name", "db.name", "db.namespace", "error.type", "exception.type"),
    }
)
REQUEST_ID, STATEMENT = "frontdesk.request_id", "frontdesk.statement"
FLUSH_SECONDS = 1.5  # the last spans get this long when the service stops

Trusts = Callable[[web.Request], bool]
"""Whether the sender of a request may say which trace it belongs to."""


class Traces:
    """Traces of one application, until it ends."""

    def __init__(self, endpoint: str, trusts: Trusts, exporter: SpanExporter | None = None) -> None:
        """`endpoint` is the base address of a collector (OTLP over HTTP); `exporter` takes its place in tests."""
        name = os.environ.get("OTEL_SERVICE_NAME", "frontdesk")
        self._provider = TracerProvider(
            shutdown_on_exit=False, resource=Resource.create({"service.name": name, "service.version": __version__})
        )
        sent_by = exporter or OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(_WithoutSecrets(sent_by)))
        self._statements = AsyncPGInstrumentor()  # type: ignore[no-untyped-call]
        propagate.set_global_textmap(_TrustedCallers(trusts))
        for logger in ("exporter.otlp.proto.http.trace_exporter", "sdk._shared_internal", "exporter.otlp.common.http"):
            logging.getLogger(f"opentelemetry.{logger}").addFilter(_as_warning)
        self.middleware = self._middleware()

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """A cleanup context: trace statements until the application ends, and then send the last spans."""
        self._statements.instrument(tracer_provider=self._provider)
        yield
        self._statements.uninstrument()
        done = asyncio.Event()
        # A daemon: a collector that does not answer must not keep the process from ending.
        threading.Thread(target=self._end, args=(asyncio.get_running_loop(), done), daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await done.wait()

    def _end(self, loop: asyncio.AbstractEventLoop, done: asyncio.Event) -> None:
        self._provider.force_flush()
        self._provider.shutdown()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(done.set)

    def _middleware(self) -> Middleware:
        """OpenTelemetry's middleware, for the application that we name instead of every one of this process."""
        instrumentor = AioHttpServerInstrumentor()
        with warnings.catch_warnings(action="ignore"):  # of aiohttp, about the subclass that we do not use
            instrumentor.instrument(tracer_provider=self._provider)  # it prepares what the middleware uses
        traced = create_aiohttp_middleware(self._provider)
        instrumentor.uninstrument()

        @web.middleware
        async def trace_request(request: web.Request, handler: Handler) -> web.StreamResponse:
            is_handled = False

            async def note_id(request: web.Request) -> web.StreamResponse:
                nonlocal is_handled
                is_handled = True
                response = await handler(request)
                trace.get_current_span().set_attribute(REQUEST_ID, request_id.get())
                return response

            try:
                response: web.StreamResponse = await traced(request, note_id)
            except ValueError:
                # OpenTelemetry reads the Host header and the path before the service refuses malformed ones.
                if is_handled:
                    raise
                response = await handler(request)
            return response

        return trace_request


class _TrustedCallers(TextMapPropagator):
    """Continues the traces of trusted callers; strangers could make every request of theirs a sampled one."""

    def __init__(self, trusts: Trusts) -> None:
        self._trusts = trusts
        self._format = TraceContextTextMapPropagator()

    def extract(self, carrier: Any, context: Context | None = None, getter: Getter[Any] = default_getter) -> Context:
        """The trace that a request says it belongs to, if its sender is trusted."""
        if isinstance(carrier, web.Request) and self._trusts(carrier):
            return self._format.extract(carrier, context, getter)
        return Context() if context is None else context

    def inject(self, carrier: Any, context: Context | None = None, setter: Setter[Any] = default_setter) -> None:
        """Do nothing: the service calls no other one."""

    @property
    def fields(self) -> set[str]:
        """The names of headers that are read."""
        return self._format.fields


class _WithoutSecrets(SpanExporter):
    """Gives spans to another exporter with the attributes of SHOWN alone, and names statements by their files."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._names = {text: name for name, text in statements().items()}

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export what may be shown of each span."""
        return self._exporter.export([self._shown(span) for span in spans])

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything is exported."""
        return self._exporter.force_flush(timeout_millis)

    def _shown(self, span: ReadableSpan) -> ReadableSpan:
        given = span.attributes or {}
        statement = self._names.get(str(given.get("db.statement") or given.get("db.query.text")))
        attributes = {name: value for name, value in given.items() if name in SHOWN or name == REQUEST_ID}
        if statement:
            attributes[STATEMENT] = statement
        return ReadableSpan(
            name=statement or span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=attributes,
            events=[_event(event) for event in span.events],
            links=span.links,
            kind=span.kind,
            status=Status(span.status.status_code),  # its description is the text of the error
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )


def _event(event: Event) -> Event:
    attributes = {name: value for name, value in (event.attributes or {}).items() if name in SHOWN}
    return Event(event.name, attributes, event.timestamp)


def _as_warning(record: logging.LogRecord) -> bool:
    """Let a collector that cannot be reached be a warning: it is no reason to wake the operator."""
    if record.levelno > logging.WARNING:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
