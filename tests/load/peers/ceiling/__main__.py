"""Serves `/ceiling/…`: reads the token, makes up the response. What is measured is HTTP, middleware and JSON."""

import asyncio
import os
import signal
from datetime import UTC, datetime
from typing import Any

import uvloop
from aiohttp import web

from server.app import create_app
from server.auth.tokens import ACCESS
from server.process.http_server import make_runner, tune_garbage_collection
from server.process.serving import bind, listen
from server.settings.settings import Settings
from server.web.app_keys import TOKENS
from server.web.endpoints import Access, Endpoints, install
from server.web.guards import path_id

ceiling = Endpoints("ceiling", other_methods=Access.ANONYMOUS)
NOW = datetime.now(UTC)


def caller(request: web.Request) -> int:
    """The account id in the token of the caller."""
    return request.app[TOKENS].read(request.headers["Authorization"].split()[1], ACCESS).user_id


@ceiling.get("/ceiling/me/", access=Access.ANONYMOUS)
async def read_me(request: web.Request) -> Any:
    """Respond as `/auth/users/me/` does."""
    user_id = caller(request)
    return {"email": f"person{user_id}@example.com", "id": user_id, "username": f"person{user_id}"}


@ceiling.get("/ceiling/profile/{id}", access=Access.ANONYMOUS)
async def read_profile(request: web.Request) -> Any:
    """Respond as `/api/accounts/profile/{id}` does."""
    caller(request)
    profile_id = path_id(request)
    return {
        "id": profile_id,
        "user": f"person{profile_id}",
        "description": f"Number {profile_id} of the film club.",
        "location": "Lisbon",
        "date_joined": NOW,
        "updated_on": NOW,
        "is_creator": False,
    }


async def serve() -> None:
    """Serve until SIGTERM."""
    settings = Settings.read(os.environ)
    app = create_app(settings)
    install(app, [ceiling])
    running = make_runner(app)
    await running.setup()
    tune_garbage_collection()
    await listen(running, bind(settings)[0])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await running.cleanup()


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
    loop.run(serve())
