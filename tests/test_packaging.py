"""The layers, README's map, the packages and the version agree with the folders; an installed copy is complete."""

import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from server import __version__

ROOT = Path(__file__).parent.parent
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg")

PACKAGED = {"server": "server", "sql": "server/sql", "migrations": "server/migrations"}
"""The folders of the repository that are installed, and where they are in a wheel."""


def lines(section: str, key: str) -> list[str]:
    """The lines of a value of setup.cfg."""
    return CONFIG[section][key].split("\n")[1:]


def layers() -> list[str]:
    """The packages and modules of `server/` that setup.cfg lists, the highest layer first."""
    return [name.strip("()") for name in lines("importlinter:contract:layers", "layers")]


def files(folder: Path) -> set[Path]:
    """The files below `folder` that belong to the project, as paths relative to it."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {file for file in found if not {"__pycache__", ".DS_Store"} & set(file.parts)}


def test_the_layers_name_every_package_and_module_of_the_server_once() -> None:
    present = {file.parts[0].removesuffix(".py") for file in files(ROOT / "server") if file.suffix == ".py"}
    may_be_missing = {name.strip("()") for name in lines("importlinter:contract:layers", "layers") if "(" in name}
    present -= {"__init__"}
    assert len(layers()) == len(set(layers()))
    assert sorted(present - set(layers())) == [], "put these into the layers of setup.cfg, above what they import"
    assert sorted(set(layers()) - may_be_missing - present) == [], "the layers of setup.cfg list what is not there"


def test_readme_maps_the_layers_from_the_highest_down_and_then_the_other_folders() -> None:
    section = (ROOT / "README.md").read_text().partition("\n## Map\n")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| `(\S+?)`", section, re.MULTILINE)
    names = [name.removeprefix("server/").removesuffix(".py").removesuffix("/") for name in shown]
    assert names == [*layers(), "sql", "migrations", "tests", "examples", "deploy", ".ci", "docs"], (
        "README's map has one row for each layer of setup.cfg, in its order, and then one for each other folder"
    )


def test_the_packages_of_setup_cfg_are_the_folders_that_hold_modules() -> None:
    folders = {".".join(("server", *file.parent.parts)) for file in files(ROOT / "server") if file.suffix == ".py"}
    data = {"server.web.documentation.swagger", "server.sql", "server.migrations"}  # read as packages by resources.py
    listed = set(lines("options", "packages"))
    assert sorted((folders | data) - listed) == [], "add these folders to packages in setup.cfg, or no wheel has them"
    assert sorted(listed - folders - data) == [], "packages in setup.cfg lists folders that hold no module: remove them"


def copy(folder: Path) -> Path:
    """A copy of the repository below `folder`: a build writes beside what it builds."""
    tree = folder / "copy"
    for name in (*PACKAGED, "tests", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    return tree


def install(tree: Path, kind: str) -> Path:
    """Build `tree` as pip does, unpack what was built, and return the folder: a site-packages of its own.

    `kind` is "wheel" or "editable". The build backend is called directly: pip would add seconds to each build.
    """
    backend = re.search('build-backend = "(.*)"', (tree / "pyproject.toml").read_text())
    assert backend
    build = f"import {backend[1]} as backend, sys; backend.build_{kind}(sys.argv[1])"
    built, site = tree.parent / f"{kind}-built", tree.parent / f"{kind}-site"
    built.mkdir()
    done = subprocess.run([sys.executable, "-c", build, str(built)], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def missing_and_foreign(tree: Path, site: Path) -> tuple[set[str], set[str]]:
    """The files of `tree` that an installation should have and has not; those that it has and should not."""
    wanted = {f"{target}/{file.as_posix()}" for source, target in PACKAGED.items() for file in files(tree / source)}
    installed = {file.as_posix() for file in files(site) if not file.parts[0].endswith(".dist-info")}
    return wanted - installed, installed - wanted


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_server_sql_and_migrations_and_nothing_else(tmp_path: Path) -> None:
    tree = copy(tmp_path)
    assert missing_and_foreign(tree, install(tree, "wheel")) == (set(), set())


@pytest.mark.slow
def test_a_folder_of_the_server_that_setup_cfg_does_not_list_is_found_missing(tmp_path: Path) -> None:
    tree = copy(tmp_path)
    for file in ("server/forgotten/module.py", "sql/new/read.sql", "sql/new/below/read.sql", "migrations/new/0001.sql"):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text("")
    missing, foreign = missing_and_foreign(tree, install(tree, "wheel"))
    assert missing == {"server/forgotten/module.py", "server/migrations/new/0001.sql"}  # sql/ is taken as a whole
    assert foreign == set()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_an_installation_finds_its_statements_and_migrations(tmp_path: Path, kind: str) -> None:
    tree = copy(tmp_path)
    site = install(tree, kind)
    asks = (
        f"import site; site.addsitedir({str(site)!r})\n"
        "import server, server.resources as resources\n"
        "print(server.__file__)\n"
        "print(*sorted(resources.statements()))\n"
        "print(*sorted(file.name for file in resources.resource('migrations').iterdir() if file.name[:2] != '__'))\n"
    )
    # -S and -P: neither the packages of this environment nor the current folder can take the place of the installed.
    done = subprocess.run([sys.executable, "-SP", "-c", asks], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    package, statements, migrations = done.stdout.splitlines()
    assert Path(package).is_relative_to(site if kind == "wheel" else tree)
    assert statements.split() == sorted(file.with_suffix("").as_posix() for file in files(ROOT / "sql"))
    assert migrations.split() == sorted(file.name for file in files(ROOT / "migrations"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("frontdesk", [Path(sys.executable).parent / "frontdesk"]),
        ("python -m server", [sys.executable, "-m", "server"]),
    ],
)
def test_the_script_and_the_module_are_the_same_commands_under_their_own_names(
    tmp_path: Path, program: str, command: list[str | Path]
) -> None:
    told = subprocess.run([*command, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith(f"usage: {program} [-h]")
    assert "create-admin" in told.stdout


def test_the_version_is_said_in_one_place() -> None:
    said = re.compile(rf"(?<![\w.=]){re.escape(__version__)}(?![\w.])")  # not a pin, not part of a longer number
    top = [file for file in ROOT.iterdir() if file.is_file() and file.name not in ("CHANGELOG.md", ".git")]
    below = [
        ROOT / name / file for name in ("server", "sql", "migrations", "docs", ".ci") for file in files(ROOT / name)
    ]
    found = [file for file in top + below if said.search(file.read_text(errors="replace"))]
    assert [file.relative_to(ROOT).as_posix() for file in found] == ["server/__init__.py"]
