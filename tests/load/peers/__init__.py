"""What is measured: the service, the ceiling, and the alternatives that a team could choose. Each is a peer.

A peer is one process (plus the master of gunicorn). It logs nothing, reads who asks from its database at every request,
and takes its own kind of tokens. All but PocketBase work on the same PostgreSQL. For work that it does not offer it
gives a reason.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.load.calls import MakeToken, PeerCalls, contract_token, fastapi_users_token
from tests.load.other_calls import BetterAuthCalls, PocketBaseCalls, better_auth_cookie, pocketbase_token

FOLDER = Path(__file__).parent
OURS = "frontdesk"

PATHS = {
    "read-me": "/auth/users/me/",
    "read-profile": "/api/accounts/profile/{}",
    "edit-profile": "/api/accounts/profile/{}",
    "list": "/api/accounts/all-profiles",
    "refresh": "/auth/jwt/refresh/",
    "verify": "/auth/jwt/verify/",
    "register": "/auth/users/",
    "sign-in": "/auth/jwt/create/",
}
UVICORN = ["-m", "uvicorn", "app:app", "--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=warning"]
GUNICORN = ["-m", "gunicorn", "wsgi", "--worker-class=gthread", "--workers=1", "--threads=8", "--keep-alive=75"]
ACCOUNTS_ONLY = "fastapi-users offers accounts, nothing beyond"
HASHES = "compared with bcrypt alone, not with the queue of another server"
DJOSER_ONLY = "a route of the djoser contract only"
BUN = "node_modules/@oven/bun-linux-x64/bin/bun"
RECORDS = "/api/collections/profiles/records"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One server: how it is installed and started, and the work that it offers."""

    name: str
    description: str
    command: tuple[str, ...]  # after the program; {port} and {folder}, where it may write, are filled in
    kind: str = "here"  # "here": this environment; "python", "node": an environment that the harness installs
    program: str = ""  # of its environment; empty: the interpreter of its kind
    paths: dict[str, str] = field(default_factory=lambda: dict(PATHS))
    lacks: dict[str, str] = field(default_factory=dict)
    uses_postgresql: bool = True
    prepare: tuple[str, ...] = ()  # words after the interpreter; runs on the fresh database before the start
    make_token: MakeToken = contract_token
    calls: type[PeerCalls] = PeerCalls

    @property
    def folder(self) -> Path:
        """The folder of its source."""
        return FOLDER / self.name.replace("-", "_")


def _peer(lacks: dict[str, str], paths: dict[str, str] | None = None, **fields: Any) -> Peer:
    offered = {work: path for work, path in (PATHS | (paths or {})).items() if work not in lacks}
    return Peer(lacks=lacks, paths=offered, **fields)


PEERS = {
    peer.name: peer
    for peer in (
        _peer({}, name=OURS, description="this service", command=("-m", "server")),
        _peer(
            {work: "impossible without a database" for work in PATHS if not work.startswith("read-")},
            {"read-me": "/ceiling/me/", "read-profile": "/ceiling/profile/{}"},
            name="ceiling",
            description="the handlers and middleware of this service, without a database",
            uses_postgresql=False,
            command=("-m", "tests.load.peers.ceiling"),
        ),
        _peer(
            {"verify": DJOSER_ONLY, "register": HASHES, "sign-in": HASHES},
            name="elysia",
            description="Elysia on Bun, with Bun's client for PostgreSQL",
            command=("server.js",),
            kind="node",
            program=BUN,
        ),
        _peer(
            {"verify": DJOSER_ONLY, "register": HASHES, "sign-in": HASHES},
            name="fastify",
            description="Fastify + pg + @fastify/jwt, named statements",
            command=("server.js",),
            kind="node",
        ),
        _peer(
            {"verify": DJOSER_ONLY, "register": HASHES, "sign-in": HASHES},
            name="fastapi",
            description="FastAPI + asyncpg by hand, uvicorn",
            command=(*UVICORN, "--port={port}"),
            kind="python",
        ),
        _peer(
            {work: ACCOUNTS_ONLY for work in PATHS if work not in ("read-me", "register", "sign-in")}
            | {"register": HASHES, "sign-in": HASHES},
            {"read-me": "/users/me"},
            name="fastapi-users",
            description="fastapi-users + SQLAlchemy + asyncpg, uvicorn",
            command=(*UVICORN, "--port={port}"),
            kind="python",
            make_token=fastapi_users_token,
        ),
        _peer(
            {"list": "a site with djoser lists everything, without order or pages"},
            name="djoser",
            description="djoser + simplejwt, gunicorn gthread, persistent connections",
            command=(*GUNICORN, "--bind=127.0.0.1:{port}"),
            kind="python",
            prepare=("-m", "django", "migrate", "--verbosity=0"),
        ),
        _peer(
            {
                "verify": DJOSER_ONLY,
                "register": HASHES,
                "sign-in": HASHES,
                "refresh": "its sessions have one token, which lives as long as they do",
            },
            name="better-auth",
            description="better-auth on Node with its default sessions, pg",
            command=("server.js",),
            kind="node",
            prepare=("prepare.js",),
            make_token=better_auth_cookie,
            calls=BetterAuthCalls,
        ),
        _peer(
            {"verify": DJOSER_ONLY, "register": HASHES, "sign-in": HASHES},
            {
                "read-me": "/api/collections/users/records/{}",
                "read-profile": f"{RECORDS}/{{}}?expand=user",
                "edit-profile": f"{RECORDS}/{{}}?expand=user",
                "list": f"{RECORDS}?perPage=100&skipTotal=1&sort=id&expand=user",
                "refresh": "/api/collections/users/auth-refresh",
            },
            name="pocketbase",
            description="PocketBase with its own SQLite, which does not wait for the disk",
            command=("serve", "--http=127.0.0.1:{port}", "--dir={folder}", "--migrationsDir={folder}/none"),
            kind="python",
            program="bin/pocketbase",
            prepare=("prepare.py",),
            uses_postgresql=False,
            make_token=pocketbase_token,
            calls=PocketBaseCalls,
        ),
    )
}
