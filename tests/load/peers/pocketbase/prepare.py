"""Makes the SQLite database of PocketBase in FOLDER, with the accounts and profiles of the service in it."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

ID = "printf('%015d', n)"  # ids have 15 characters

folder = Path(os.environ["FOLDER"])
shutil.rmtree(folder, ignore_errors=True)
pocketbase = Path(sys.executable).parent / "pocketbase"
migrations = Path(__file__).parent / "migrations"
subprocess.run([pocketbase, "migrate", "up", f"--dir={folder}", f"--migrationsDir={migrations}"], check=True)
with sqlite3.connect(folder / "data.db") as connection:
    accounts = int(os.environ["ACCOUNTS"])
    numbers = f"with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {accounts})"
    connection.execute(
        "insert into users (id, name, email, verified, tokenKey, created, updated)"
        f" {numbers} select {ID}, 'person' || n, 'person' || n || '@example.com', true, printf('%030d', n),"
        " '2026-01-01 00:00:00.000Z', '2026-01-01 00:00:00.000Z' from numbers"
    )
    connection.execute(
        "insert into profiles (id, user, description, location, is_creator, date_joined, updated_on)"
        f" {numbers} select {ID}, {ID}, 'Number ' || n || ' of the film club.', 'Lisbon', n % 2 = 0,"
        " '2026-01-01 00:00:00.000Z', '2026-01-01 00:00:00.000Z' from numbers"
    )
    connection.execute("analyze")
