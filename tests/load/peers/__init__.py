"""Who is measured: the service itself, its ceiling, and what a team could pick instead.

Each is one process (gunicorn's master apart), logs nothing, and works on the same tables with tokens of its own kind.
What a peer does not offer it gives a reason for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.load.calls import fastapi_users_token, token
from tests.load.data import Person

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
ONLY_READS = "fastapi-users has no such thing: it stops at the account"
BY_HAND = "measured against the bare hash, not against another's queue"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One server: how it is installed and started, and what it can be asked."""

    name: str
    says: str
    command: tuple[str, ...]  # after the interpreter; {port} is filled in
    kind: str = "here"  # "here": this environment; "python", "node": one of its own, made by the harness
    paths: dict[str, str] = field(default_factory=lambda: dict(PATHS))
    lacks: dict[str, str] = field(default_factory=dict)
    prepare: tuple[str, ...] = ()  # a command on the fresh database, before the start
    token: Callable[[Person, str], str] = token

    @property
    def folder(self) -> Path:
        """Where its source lies."""
        return FOLDER / self.name.replace("-", "_")


def _peer(lacks: dict[str, str], paths: dict[str, str] | None = None, **says: object) -> Peer:
    offered = {work: path for work, path in (PATHS | (paths or {})).items() if work not in lacks}
    return Peer(lacks=lacks, paths=offered, **says)  # type: ignore[arg-type]


PEERS = {
    peer.name: peer
    for peer in (
        _peer({}, name=OURS, says="this service", command=("-m", "server")),
        _peer(
            {
                work: "nothing can be changed or found without a database"
                for work in PATHS
                if not work.startswith("read-")
            },
            {"read-me": "/ceiling/me/", "read-profile": "/ceiling/profile/{}"},
            name="ceiling",
            says="this service's handlers and middleware, no database asked",
            command=("-m", "tests.load.peers.ceiling"),
        ),
        _peer(
            {"verify": "a route of djoser's contract", "register": BY_HAND, "sign-in": BY_HAND},
            name="fastify",
            says="Fastify + pg + @fastify/jwt, named statements",
            command=("server.js",),
            kind="node",
        ),
        _peer(
            {"verify": "a route of djoser's contract", "register": BY_HAND, "sign-in": BY_HAND},
            name="fastapi",
            says="FastAPI + asyncpg by hand, uvicorn",
            command=(*UVICORN, "--port={port}"),
            kind="python",
        ),
        _peer(
            {work: ONLY_READS for work in PATHS if work not in ("read-me", "register", "sign-in")}
            | {"register": BY_HAND, "sign-in": BY_HAND},
            {"read-me": "/users/me"},
            name="fastapi-users",
            says="fastapi-users + SQLAlchemy + asyncpg, uvicorn",
            command=(*UVICORN, "--port={port}"),
            kind="python",
            token=fastapi_users_token,
        ),
        _peer(
            {"list": "djoser's sites list everything, unordered and unpaged"},
            name="djoser",
            says="djoser + simplejwt, gunicorn gthread, persistent connections",
            command=(*GUNICORN, "--bind=127.0.0.1:{port}"),
            kind="python",
            prepare=("-m", "django", "migrate", "--verbosity=0"),
        ),
    )
}
