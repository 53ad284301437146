"""Traces have the route, the status and the statements of a request, and no secret (security 34)."""

import asyncio
import dataclasses
import http.server
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from server.app import create_app
from server.settings.settings import Settings
from server.settings.values import networks
from server.web import traces
from tests.api.test_dump import use_every_proof
from tests.commands.conftest import Run, command_settings, run
from tests.conftest import Client, FrontdeskServer, Letters, Person, in_mode, post
from tests.web.test_malformed_http import raw

__all__ = ["command_settings", "run"]  # fixtures


class Collector:
    """A collector on a port of its own: what it received, as bytes and read."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.answers = threading.Event()
        self.answers.set()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                collector.answers.wait()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Write nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def spans(self) -> list[Span]:
        read = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for each in read
            for resource in each.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


def attributes(span: Span) -> dict[str, Any]:
    """The attributes of a span by name."""
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    for name in ("OTEL_BSP_SCHEDULE_DELAY", "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER"):
        monkeypatch.delenv(name, raising=False)
    running = Collector()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def traced(settings: Settings, collector: Collector) -> Settings:
    """The settings of a service that traces."""
    return dataclasses.replace(settings, otel_exporter_otlp_endpoint=collector.url)


@pytest.fixture
async def client(traced: Settings, database: object) -> AsyncIterator[Client]:
    """A client of a service that traces. When it is closed, the collector has every span."""
    async with TestClient(FrontdeskServer(create_app(traced))) as visitor:
        yield visitor


async def test_a_request_has_a_span_and_its_statements_are_below_it(anna: Person, collector: Collector) -> None:
    await anna.get("/auth/users/me/", headers={"X-Request-ID": "number-one"})
    assert (await post(anna.client, "/auth/users/", username="anna", password="?"))[0] == 400
    await anna.client.close()
    (asked,) = collector.named("GET /auth/users/me/")
    shown = attributes(asked)
    assert (shown["http.route"], shown["http.status_code"]) == ("/auth/users/me/", 200)
    assert shown["frontdesk.request_id"] == "number-one"
    (identified,) = [span for span in collector.named("sessions/identify") if span.trace_id == asked.trace_id]
    assert identified.parent_span_id == asked.span_id
    assert attributes(identified)["frontdesk.statement"] == "sessions/identify"
    assert [attributes(span)["http.status_code"] for span in collector.named("POST /auth/users/")] == [201, 400]


@in_mode("activation")
async def test_no_span_has_a_secret_a_path_or_a_query(
    client: Client, letters: Letters, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for header in ("REQUEST", "RESPONSE"):  # an operator who asks for more does not get secrets
        monkeypatch.setenv(f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_{header}", ".*")
    _, proofs = await use_every_proof(client, letters)
    for proof in proofs:
        await client.get(f"/password/reset/MQ/{proof}?token={proof}", headers={"Authorization": f"Bearer {proof}"})
    await client.close()
    sent = b"".join(collector.bodies)
    assert len(collector.spans) > 50
    assert [proof for proof in proofs if proof.encode() in sent] == []
    assert b"User-Agent" not in sent
    assert b"anna@example.com" not in sent


@pytest.mark.breaks_the_service
async def test_a_failure_is_shown_without_its_text(anna: Person, collector: Collector, database: Any) -> None:
    database.execute("alter table profiles add constraint profiles_fault check (location <> 'the secret')")
    try:
        profile = await anna.profile()
        assert (await anna.patch(f"/api/accounts/profile/{profile['id']}", {"location": "the secret"}))[0] == 500
    finally:
        database.execute("alter table profiles drop constraint profiles_fault")
    await anna.client.close()
    (failed,) = [span for span in collector.named("profiles/edit") if span.status.code]
    assert failed.status.message == ""
    assert b"the secret" not in b"".join(collector.bodies)
    assert b"CheckViolationError" in b"".join(collector.bodies)


GIVEN = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@pytest.mark.parametrize("trusted", ["127.0.0.0/8", "10.0.0.0/8"])
async def test_only_a_trusted_proxy_says_which_trace_a_request_belongs_to(
    traced: Settings, database: object, collector: Collector, trusted: str
) -> None:
    app = create_app(dataclasses.replace(traced, trusted_proxies=networks(trusted)))
    async with TestClient(FrontdeskServer(app)) as visitor:
        await visitor.get("/healthz", headers=GIVEN)
    (span,) = collector.named("GET /healthz")
    assert (span.trace_id.hex() == GIVEN["traceparent"].split("-")[1]) == (trusted == "127.0.0.0/8")


@pytest.mark.parametrize("host", ["x", "[::::]", "[1", "a:99999999", "a b", "%"])
@pytest.mark.parametrize("path", ["/healthz", "//[", "/%zz?%", "//a:b:c/"])
async def test_a_malformed_request_is_answered_as_without_traces(
    client: Client, settings: Settings, host: str, path: str
) -> None:
    sent = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    async with TestClient(FrontdeskServer(create_app(settings))) as untraced:
        without = await raw(untraced, sent)
    answered = await raw(client, sent)
    assert (answered[0][:13], answered[1]) == (without[0][:13], without[1])


async def test_a_collector_that_cannot_be_reached_harms_no_request_and_is_no_error(
    traced: Settings, database: object, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.server.server_close()
    async with TestClient(FrontdeskServer(create_app(traced))) as visitor:
        assert (await visitor.get("/healthz")).status == 200
    logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter").error("Failed to export")
    assert caplog.records[-1].levelname == "WARNING"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_collector_that_never_answers_does_not_delay_the_end(
    traced: Settings, database: object, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
    collector.answers.clear()
    async with asyncio.timeout(60):
        async with TestClient(FrontdeskServer(create_app(traced))) as visitor:
            assert (await visitor.get("/healthz")).status == 200
    collector.answers.set()


def test_without_the_extra_the_start_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "NEEDED", ("opentelemetry.nothing_of_this_name",))
    for command in ("serve", "work"):
        status, said, faults = run(command, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
        assert (status, said) == (2, "")
        needed = "pip install '.[tracing]' in the repository"
        assert faults == f"OTEL_EXPORTER_OTLP_ENDPOINT needs the extra `tracing`: {needed}\n"
