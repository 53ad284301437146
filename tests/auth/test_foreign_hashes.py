"""Hashes of imported accounts are checked, within bounds. A check that fails costs as much as a hash of our own."""

import time
from collections.abc import Iterator

import argon2
import bcrypt
import pytest

from server.auth import argon2_hashes, foreign_hashes
from server.auth.passwords import Passwords

# The contract's samples (5.1), of the password "correct horse".
PBKDF2 = "pbkdf2_sha256$1000$SaltSaltSaltSaltSaltSa$eZ/YJNeysWehkhXZc4Wzm2a+uGBZDre64w8GGrm7nb0="
BCRYPT = "bcrypt$$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
SCRYPT = (
    "scrypt$16384$SaltSaltSaltSaltSaltSa$8$5$"
    "+leEs+lcxWq/nhRBQGdlRRiupsrzcke/8Hs0WwwusOLGRvjzuckrp8gMvvTq8cxbySHwEL9GMUXXRDk/717Hcw=="
)
ARGON2 = (
    "argon2$argon2id$v=19$m=102400,t=2,p=8$U2FsdFNhbHRTYWx0U2FsdFNhbHRTYQ$xKV8b8I2A+7EE3qW386r8FpBGdkw8waSjKh2b2qqL90"
)
MD5 = "md5$SaltSaltSaltSaltSaltSa$6a5aceaf393d669329742a7dfcd58beb"
PBKDF2_SHA1 = "pbkdf2_sha1$1000$SaltSaltSaltSaltSaltSa$srCEseAviwyVRlLKfELfwvnlS/E="  # made as contract 5.1 says


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(6, threads=1)
    yield made
    made.close()


@pytest.mark.parametrize("stored", [PBKDF2, PBKDF2_SHA1, BCRYPT, SCRYPT, ARGON2, MD5])
async def test_a_foreign_hash_fits_only_its_own_password_and_is_outdated(passwords: Passwords, stored: str) -> None:
    assert await passwords.check("correct horse", stored)
    assert not await passwords.check("correct horsf", stored)
    assert passwords.is_outdated(stored)


@pytest.mark.parametrize("kind", ["i", "d", "id"])
async def test_argon2_gives_the_same_hash_as_the_library_with_threads(passwords: Passwords, kind: str) -> None:
    theirs = argon2.low_level.hash_secret(b"correct horse", b"saltsaltsalt", 3, 256, 4, 32, argon2.Type[kind.upper()])
    assert await passwords.check("correct horse", "argon2" + theirs.decode())
    assert not await passwords.check("correct horsf", "argon2" + theirs.decode())


async def test_without_the_library_no_password_fits_an_argon2_hash(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argon2_hashes, "IS_INSTALLED", False)
    assert not await passwords.check("correct horse", ARGON2)


async def test_a_password_longer_than_bcrypt_reads_does_not_fit(passwords: Passwords) -> None:
    stored = "bcrypt$" + bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert await passwords.check("x" * 72, stored)
    assert not await passwords.check("x" * 73, stored)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(PBKDF2.replace("$1000$", "$3000001$"), id="iterations"),
        pytest.param(PBKDF2.replace("$1000$", f"${10**12}$"), id="far too many iterations"),
        pytest.param(PBKDF2.replace("$1000$", "$0$"), id="no iterations"),
        pytest.param(PBKDF2.replace("sha256", "md5"), id="another digest"),
        pytest.param(PBKDF2[:-5], id="cut off"),
        pytest.param(PBKDF2_SHA1.replace("sha1", "sha256"), id="another length"),
        pytest.param(SCRYPT.replace("$16384$", "$16383$"), id="no power of two"),
        pytest.param(SCRYPT.replace("$16384$", "$1048576$"), id="memory"),
        pytest.param(SCRYPT.replace("$8$5$", "$8$99$"), id="lanes"),
        pytest.param(SCRYPT.replace("$8$5$", "$0$5$"), id="no blocks"),
        pytest.param(ARGON2.replace("m=102400", "m=4194304"), id="argon2 memory"),
        pytest.param(ARGON2.replace("m=102400", "m=63"), id="argon2 without memory"),
        pytest.param(ARGON2.replace("t=2", "t=900"), id="argon2 passes"),
        pytest.param(ARGON2.replace("t=2", "t=0"), id="argon2 no pass"),
        pytest.param(ARGON2.replace("p=8", "p=999"), id="argon2 lanes"),
        pytest.param(ARGON2.replace("p=8", "p=0"), id="argon2 no lane"),
        pytest.param(BCRYPT.replace("$04$", "$17$"), id="rounds"),
        pytest.param(BCRYPT.replace("$04$", "$03$"), id="too few rounds"),
        pytest.param(
            "bcrypt_sha256$" + BCRYPT.partition("$")[2].replace("$04$", "$31$"), id="rounds of our own format"
        ),
        pytest.param(
            "bcrypt_sha256$" + BCRYPT.partition("$")[2].replace("$04$", "$03$"), id="too few rounds of our own format"
        ),
        pytest.param(MD5[:-1], id="md5 cut off"),
        pytest.param(MD5.upper(), id="md5 in capitals"),
        pytest.param("sha1$SaltSaltSaltSaltSaltSa$6a5aceaf393d669329742a7dfcd58beb", id="sha1"),
    ],
)
async def test_a_hash_that_costs_too_much_or_is_damaged_is_not_run_and_costs_one_hash(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    run = note_hashes(monkeypatch)
    monkeypatch.setattr(bcrypt, "checkpw", lambda *given: pytest.fail("the hash was run"))
    assert foreign_hashes.read(stored) is None
    assert not await passwords.check("correct horse", stored)
    assert run == [b"$2b$06$"]


@pytest.mark.parametrize(
    ("share", "filled"),
    [(0.5, [b"05"]), (0.25, [b"05", b"04"]), (0.7, [b"04"]), (1.0, []), (3.0, [])],
)
async def test_a_failed_check_of_a_foreign_hash_is_filled_up_to_the_cost_of_our_own(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch, share: float, filled: list[bytes]
) -> None:
    run = note_hashes(monkeypatch)
    # The clock of the thread: a first check takes 8 s, then a hash of a quarter of our cost takes 2 s.
    clock = [0.0, 8.0, 0.0, 2.0]
    monkeypatch.setattr(time, "thread_time", lambda: clock.pop(0) if clock else pytest.fail("measured more than once"))
    assert not await passwords.check("wrong", PBKDF2)
    assert run == [b"$2b$04$"]
    run.clear()
    clock.extend([0.0, share * 8])
    assert not await passwords.check("wrong", PBKDF2)
    assert run == [b"$2b$%b$" % rounds for rounds in filled]


def note_hashes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The head of the salt, with the number of rounds, of each hash that bcrypt makes from now on."""
    run: list[bytes] = []
    hashpw = bcrypt.hashpw

    def note(password: bytes, salt: bytes) -> bytes:
        run.append(salt[:7])
        return hashpw(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", note)
    return run
