"""`python -m tests.attack.probe PORT TOKEN`: a client that asks for two things again and again until its input ends.

It is a process of its own, so that the attack does not delay it, and imports little, so that it starts at once.
"""

import http.client
import json
import sys
import threading
import time

PROBE_SECONDS = 10.0
BETWEEN_SECONDS = 0.05


def probe(port: int, token: str) -> list[float | str]:
    """Ask for the health and for an account, each over a new connection: seconds of each, or what failed."""
    found: list[float | str] = []
    for path, headers in (("/healthz", {}), ("/auth/users/me/", {"Authorization": f"Bearer {token}"})):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
        began = time.perf_counter()
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            response.read()
            found.append(time.perf_counter() - began if response.status == 200 else f"{path}: {response.status}")
        except (OSError, http.client.HTTPException) as failure:
            found.append(f"{path}: {type(failure).__name__} after {time.perf_counter() - began:.0f} s")
        finally:
            connection.close()
    return found


def main(port: int, token: str) -> None:
    """Probe until standard input is closed; then write what was found."""
    ended = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    found = probe(port, token)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not ended.wait(BETWEEN_SECONDS):
        found += probe(port, token)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
