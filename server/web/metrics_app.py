"""`/metrics` for Prometheus, an application of its own."""

from aiohttp import hdrs, web

from server.telemetry.cells import Sources
from server.telemetry.exposition import Exposition


def create_metrics_app(sources: Sources) -> web.Application:
    """The application that shows the sums over the processes that `sources` returns.

    It listens apart from the service: behind a local proxy every client looks local, so that an address check could not
    keep strangers out.
    """
    exposition = Exposition(sources)

    async def show(request: web.Request) -> web.Response:
        text, content_type = exposition.text(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: content_type})

    app = web.Application()
    app.router.add_get("/metrics", show)
    return app
