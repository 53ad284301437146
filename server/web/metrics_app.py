"""`/metrics` for Prometheus, an application of its own."""

from aiohttp import web

from server.telemetry.metrics import Metrics


def create_metrics_app(metrics: Metrics) -> web.Application:
    """The application that shows `metrics`.

    It listens apart from the service: behind a local proxy every client looks local, so that an address check could not
    keep strangers out.
    """

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get("/metrics", show)
    return app
