"""The programs of tests/ that are not pytest's: what they take on the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest

import tests.browser.__main__ as browser
import tests.site.__main__ as site

PROGRAMS = [pytest.param(browser.main, id="browser"), pytest.param(site.main, id="site")]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("option", ["-x", "--unknown"])
def test_an_unknown_option_is_refused_and_makes_no_folder(
    program: Callable[[list[str]], int], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        program([option])
    assert ended.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_browser_suite_hands_on_which_tests_to_run(tmp_path: Path) -> None:
    given = browser.command(["-k", "signing_out or curl", "--renew", str(tmp_path)])
    assert given[given.index("-k") + 1] == "signing_out or curl"
    assert given[-2:] == [f"--pictures={tmp_path}", "--renew"]


def test_the_site_is_not_written_over_other_files(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        site.main([str(tmp_path)])
    assert ended.value.code == 2
    assert (tmp_path / "letter.txt").exists()
