"""The drill that asks for more than the service can do."""

import asyncio
import time

from tests.attack.overload import FLOOD_TIMES, closed_loop, open_loop
from tests.attack.stage import Visitor
from tests.drill.drills import Scene, drill

BACK_WITHIN_SECONDS = 10.0


@drill
async def flood(scene: Scene) -> None:
    """Asks for ten times as many sign-ins as can be hashed, while other clients write."""
    with scene.service(BCRYPT_ROUNDS="10") as service:
        async with Visitor(service, connections=2000) as visitor:
            await visitor.register("flooded")
            seconds = float(scene.choose(8, 2))
            peak = await closed_loop(visitor, 8, seconds)
            async with scene.clients(service, scene.bundled) as ledger:
                statuses, _, _ = await open_loop(visitor, FLOOD_TIMES * peak, seconds)
                since = time.monotonic()
                scene.result.note("flood ends", await ledger.recovers("the flood", since, BACK_WITHIN_SECONDS))
                await asyncio.sleep(1)
    scene.result.worst = f"{statuses[200]} of {statuses.total()} sign-ins carried out, {statuses[503]} refused"
    others = {status: count for status, count in statuses.items() if status not in (200, 503)}
    scene.result.expect(not others, f"other answers: {others}")
