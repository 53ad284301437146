"""What `create_app` puts into the application and handlers take out of it."""

import asyncio

from aiohttp import web

from server.auth.api_tokens import ApiTokens
from server.auth.one_time_tokens import OneTimeTokens
from server.auth.passwords import Passwords
from server.auth.tokens import Tokens
from server.database.database import Database
from server.mail.letters import Letters
from server.mail.sender import LetterSender
from server.settings.settings import Settings
from server.templates import Templates

API_TOKENS = web.AppKey("API_TOKENS", ApiTokens)
STOPPING = web.AppKey("STOPPING", asyncio.Event)
DB = web.AppKey("DB", Database)
LETTERS = web.AppKey("LETTERS", Letters)
ONE_TIME_TOKENS = web.AppKey("ONE_TIME", OneTimeTokens)
PASSWORDS = web.AppKey("PASSWORDS", Passwords)
SETTINGS = web.AppKey("SETTINGS", Settings)
TEMPLATES = web.AppKey("TEMPLATES", Templates)
TOKENS = web.AppKey("TOKENS", Tokens)
LETTER_SENDER = web.AppKey("WORKER", LetterSender)
