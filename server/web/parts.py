"""What `create_app` puts into the application and handlers take out of it."""

import asyncio

from aiohttp import web

from server.auth.passwords import Passwords
from server.auth.tokens import Tokens
from server.db import Database
from server.settings import Settings

STOPPING = web.AppKey("STOPPING", asyncio.Event)
DB = web.AppKey("DB", Database)
PASSWORDS = web.AppKey("PASSWORDS", Passwords)
SETTINGS = web.AppKey("SETTINGS", Settings)
TOKENS = web.AppKey("TOKENS", Tokens)
