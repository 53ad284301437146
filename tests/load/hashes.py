"""The rate of bare bcrypt on all cores, in a process of its own as a server would be."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import bcrypt

from tests.load.drivers import ROOT, Load


def bare_rate(seconds: float, rounds: int) -> Load:
    """Hash for that long in a thread for each core."""
    command = [sys.executable, "-m", "tests.load.hashes", str(seconds), str(rounds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Load(**json.loads(done.stdout))


def _hash(ends: float, rounds: int) -> list[float]:
    times = []
    while (began := time.perf_counter()) < ends:
        bcrypt.hashpw(b"correct horse battery", bcrypt.gensalt(rounds))
        times.append(time.perf_counter() - began)
    return times


def _main(seconds: float, rounds: int) -> None:
    threads = os.cpu_count() or 1
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        lists = list(pool.map(lambda _: _hash(began + seconds, rounds), range(threads)))
    spent = time.perf_counter() - began
    times = sorted(each * 1000 for one in lists for each in one)
    seen = Load(len(times), spent, 0, times[len(times) // 2], times[len(times) * 99 // 100])
    print(json.dumps(seen._asdict()))


if __name__ == "__main__":
    _main(float(sys.argv[1]), int(sys.argv[2]))
