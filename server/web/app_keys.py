"""The keys of the objects that `create_app` puts into the application and that handlers read."""

import asyncio

from aiohttp import web

from server.accounts.adoption import Adoption
from server.accounts.limits import Limits
from server.auth.api_tokens import ApiTokens
from server.auth.one_time_tokens import OneTimeTokens
from server.auth.passwords import Passwords
from server.auth.session_uses import SessionUses
from server.auth.tokens import Tokens
from server.database.database import Database
from server.database.replica import Replica
from server.mail.letters import Letters
from server.mail.sender import LetterSender
from server.settings.settings import Settings
from server.templates import Templates
from server.web.devices import Devices

ADOPTION = web.AppKey("ADOPTION", Adoption)
API_TOKENS = web.AppKey("API_TOKENS", ApiTokens)
DB = web.AppKey("DB", Database)
LIMITS = web.AppKey("LIMITS", Limits)
LETTERS = web.AppKey("LETTERS", Letters)
DEVICES = web.AppKey("DEVICES", Devices)
LETTER_SENDER = web.AppKey("LETTER_SENDER", LetterSender)
ONE_TIME_TOKENS = web.AppKey("ONE_TIME_TOKENS", OneTimeTokens)
PASSWORDS = web.AppKey("PASSWORDS", Passwords)
REPLICA = web.AppKey("REPLICA", Replica)  # absent without REPLICA_URL; endpoints ask `web/lagging.py`
SESSION_USES = web.AppKey("SESSION_USES", SessionUses)
SETTINGS = web.AppKey("SETTINGS", Settings)
STOPPING = web.AppKey("STOPPING", asyncio.Event)
TEMPLATES = web.AppKey("TEMPLATES", Templates)
TOKENS = web.AppKey("TOKENS", Tokens)
