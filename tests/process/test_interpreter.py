"""The start and the command check say how the Python was built, where that is known."""

import socket
import sys
import sysconfig
from typing import Any

import pytest

from server.commands import check
from server.process import interpreter, serving
from server.settings.settings import Settings

CASES = [
    ({"CONFIG_ARGS": "'--enable-optimizations' '--with-lto'"}, "/usr/local", True),
    ({"CONFIG_ARGS": "'--enable-optimizations'"}, "/usr", True),
    ({"CONFIG_ARGS": "'--prefix=/opt'", "PY_CORE_CFLAGS": "-O3 -fprofile-use"}, "/opt", True),
    ({"CONFIG_ARGS": "'--prefix=/usr/local'", "CFLAGS": "-O3"}, "/usr/local", False),
    ({"CONFIG_ARGS": "'--enable-optimizations'", "Py_DEBUG": 1}, "/usr/local", False),
    ({"CONFIG_ARGS": "'--prefix=/usr'", "CFLAGS": "-O2"}, "/usr", None),  # as Debian's, which is optimised
    ({}, "/usr/local", None),
]


@pytest.mark.parametrize(("built", "prefix", "is_optimised"), CASES)
def test_a_python_without_optimisation_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    built: dict[str, Any],
    prefix: str,
    is_optimised: bool | None,
) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", built.get)
    monkeypatch.setattr(sys, "base_prefix", prefix)
    assert interpreter.is_optimised() is is_optimised
    (found,) = check._interpreter()
    assert (found.level, found.advice) == ("warning" if is_optimised is False else "ok", "")
    sockets: list[socket.socket] = []
    serving.announce("http://127.0.0.1:8080/", Settings(docs=False), serving.DatabaseSource("bundled", None), sockets)
    lines = capsys.readouterr().out.splitlines()
    assert not any("Swagger UI" in line for line in lines)  # DOCS=false
    said = [line for line in lines if "built without optimisation" in line]
    assert len(said) == (is_optimised is False)
