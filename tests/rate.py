"""`python -m tests.rate [ROUNDS]`: the rate of `/auth/users/me/` beside that of a handler that asks no database.

Both pass the same middleware and read the token; 10,000 accounts with a session and a token each; 64 keep-alive
connections from wrk; the two in turn, so that a machine that slows down slows both. It prints, and asserts nothing.
"""

import asyncio
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from aiohttp import web

from server import migrate
from server.app import create_app, listen, runner, settle
from server.auth.tokens import ACCESS
from server.db import UUID
from server.embedded import attach
from server.settings import Settings
from server.web.endpoints import Access, Endpoints, install
from server.web.parts import TOKENS

ACCOUNTS = 10_000
CONNECTIONS = 64
SECONDS = 3
SCRIPT = """local tokens = {%s}
local at = 0
request = function()
  at = at %% #tokens + 1
  return wrk.format("GET", nil, {["Authorization"] = "Bearer " .. tokens[at]})
end
"""

ceiling = Endpoints("ceiling", otherwise=Access.ANONYMOUS)


@ceiling.get("/ceiling", access=Access.ANONYMOUS)
async def answer_without_database(request: web.Request) -> Any:
    """Read the token, answer what `/auth/users/me/` would."""
    claims = request.app[TOKENS].read(request.headers["Authorization"].split()[1], ACCESS)
    return {"email": "person1@example.com", "id": claims.user_id, "username": "person1"}


async def fill(url: str, app: web.Application) -> list[str]:
    """Accounts, sessions and their access tokens."""
    connection = await asyncpg.connect(url)
    numbers = f"generate_series(1, {ACCOUNTS}) n"
    await connection.execute(
        f"insert into users (username, email) select 'person' || n, 'person' || n || '@example.com' from {numbers};"
        "insert into sessions (user_id, expires_at) select id, now() + interval '1 day' from users; analyze"
    )
    rows = await connection.fetch("select user_id, id from sessions")
    await connection.close()
    return [app[TOKENS].issue(ACCESS, row["user_id"], UUID(str(row["id"]))) for row in rows]


async def load(url: str, script: Path) -> tuple[float, float]:
    """Requests per second, and microseconds of this process's time for each."""
    began = time.process_time()
    wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url]
    process = await asyncio.create_subprocess_exec(*wrk, stdout=asyncio.subprocess.PIPE)
    said = (await process.communicate())[0].decode()
    if "Non-2xx" in said:
        raise RuntimeError(said)
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])
    return rate, (time.process_time() - began) / SECONDS / rate * 1e6


async def measure(url: str, rounds: int, script: Path) -> None:
    """Run both in turn, print each round and the medians."""
    app = create_app(Settings(database_url=url, signing_key="k" * 32, port=0))
    install(app, [ceiling])
    running = runner(app)
    await running.setup()
    try:
        base = await listen(running)
        tokens = await fill(url, app)
        script.write_text(SCRIPT % ",".join(f'"{token}"' for token in tokens))
        settle()
        await load(f"{base}auth/users/me/", script)  # every token is read once before anything is counted
        ratios, costs = [], []
        for number in range(1, rounds + 1):
            (me, me_cost), (top, top_cost) = [await load(base + path, script) for path in ("auth/users/me/", "ceiling")]
            ratios.append(me / top)
            costs.append(top_cost / me_cost)
            print(f"round {number}: me {me:,.0f}/s at {me_cost:.0f} µs, ceiling {top:,.0f}/s at {top_cost:.0f} µs")
        rate = f"{statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})"
        print(f"me / ceiling: rate {rate}, processor time {statistics.median(costs):.2f}")
    finally:
        await running.cleanup()


def main() -> int:
    """Measure on a bundled PostgreSQL of its own."""
    if not shutil.which("wrk"):
        print("wrk is missing: apt-get install wrk", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        cluster = attach(Path(folder) / "data")
        try:
            migrate.migrate(cluster.url())
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
                loop.run(measure(cluster.url(), int(sys.argv[1]) if sys.argv[1:] else 9, Path(folder) / "tokens.lua"))
        finally:
            cluster.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
