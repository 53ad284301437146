"""The rate of bcrypt alone on all cores. It runs in a process of its own, as a server does."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import bcrypt

from tests.load.drivers import ROOT, Load


def bare_rate(seconds: float, rounds: int) -> Load:
    """Hash for that many seconds, in one thread per core."""
    command = [sys.executable, "-m", "tests.load.hashes", str(seconds), str(rounds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Load(**json.loads(done.stdout))


def _hash_until(end: float, rounds: int) -> list[float]:
    times = []
    while (began := time.perf_counter()) < end:
        bcrypt.hashpw(b"correct horse battery", bcrypt.gensalt(rounds))
        times.append(time.perf_counter() - began)
    return times


def _main(seconds: float, rounds: int) -> None:
    threads = os.cpu_count() or 1
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        lists = list(pool.map(lambda _: _hash_until(began + seconds, rounds), range(threads)))
    spent = time.perf_counter() - began
    times = sorted(each * 1000 for one in lists for each in one)
    load = Load(len(times), spent, 0, times[len(times) // 2], times[len(times) * 99 // 100])
    print(json.dumps(load._asdict()))


if __name__ == "__main__":
    _main(float(sys.argv[1]), int(sys.argv[2]))
