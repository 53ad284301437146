"""What is measured: the service, the ceiling, and the alternatives that a team could choose. Each is a peer.

A peer is one process (plus the master of gunicorn). It logs nothing, works on the same tables and takes its own kind of
tokens. For work that it does not offer it gives a reason.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.load.calls import MakeToken, contract_token, fastapi_users_token

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


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One server: how it is installed and started, and the work that it offers."""

    name: str
    description: str
    command: tuple[str, ...]  # after the interpreter; {port} is filled in
    kind: str = "here"  # "here": this environment; "python", "node": an environment that the harness installs
    paths: dict[str, str] = field(default_factory=lambda: dict(PATHS))
    lacks: dict[str, str] = field(default_factory=dict)
    prepare: tuple[str, ...] = ()  # a command that runs on the fresh database before the start
    make_token: MakeToken = contract_token

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
            command=("-m", "tests.load.peers.ceiling"),
        ),
        _peer(
            {"verify": "a route of the djoser contract only", "register": HASHES, "sign-in": HASHES},
            name="fastify",
            description="Fastify + pg + @fastify/jwt, named statements",
            command=("server.js",),
            kind="node",
        ),
        _peer(
            {"verify": "a route of the djoser contract only", "register": HASHES, "sign-in": HASHES},
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
    )
}
