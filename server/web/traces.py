"""Whether requests are traced, and whose traces are continued."""

import importlib.util
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler

from server.settings.settings import Settings
from server.web.clients import is_in, peer_address
from server.web.ordinary_responses import OrdinaryResponse

if TYPE_CHECKING:
    from server.telemetry.tracing import Traces

NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.instrumentation")


def make_traces(settings: Settings) -> "Traces | None":
    """The traces that `settings` want, or None. A trace that a proxy of TRUSTED_PROXIES began is continued."""
    if not settings.otel_exporter_otlp_endpoint:
        return None
    # Here: OpenTelemetry takes a sixth more of a start, and is not installed without the extra.
    from server.telemetry.tracing import Traces

    def trusts(request: web.Request) -> bool:
        address = peer_address(request)
        return address is not None and is_in(address, settings.trusted_proxies)

    return Traces(settings.otel_exporter_otlp_endpoint, trusts)


@web.middleware
async def with_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Below the middleware of OpenTelemetry, which reads the headers of responses."""
    response = await handler(request)
    return response.to_response() if type(response) is OrdinaryResponse else response


def faults(settings: Settings) -> list[str]:
    """What is missing for the traces that `settings` want."""
    if not settings.otel_exporter_otlp_endpoint or _is_installed():
        return []
    return ["OTEL_EXPORTER_OTLP_ENDPOINT needs the extra `tracing`: pip install '.[tracing]' in the repository"]


def _is_installed() -> bool:
    try:
        return all(importlib.util.find_spec(name) for name in NEEDED)
    except ModuleNotFoundError:  # of the package that contains it
        return False
