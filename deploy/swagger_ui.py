"""`python -m deploy.swagger_ui [VERSION]`: replace the copy of Swagger UI by a release of npm's swagger-ui-dist.

Without VERSION: by the newest one. Needs `npm`, which compares what it downloads with the checksum of the registry.
`component.json` beside the files says what they are: version, day of release, checksums. It is a component of
CycloneDX 1.6, read by the tests and `deploy.sbom`.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "server" / "web" / "documentation" / "swagger"
COMPONENT = FOLDER / "component.json"
NAME = "swagger-ui-dist"
BUNDLE_LICENSES = "swagger-ui-bundle.js.LICENSE.txt"
FILES = ("LICENSE", "NOTICE", "favicon-32x32.png", "swagger-ui-bundle.js", BUNDLE_LICENSES, "swagger-ui.css")
"""What is copied. `index.html`, `page.css`, `sign-in.js` and `start.js` are our own."""


def component() -> dict[str, Any]:
    """What the copy in the repository is."""
    return json.loads(COMPONENT.read_text())  # type: ignore[no-any-return]


def sha256(file: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def dompurify_version(folder: Path) -> str:
    """The version of DOMPurify in the bundle: it keeps scripts out of what the document says, so its faults are ours.

    Raises `ValueError` if the file of licences does not say it.
    """
    found = re.search(r"@license DOMPurify ([0-9.]+) ", (folder / BUNDLE_LICENSES).read_text())
    if not found:
        raise ValueError(f"{BUNDLE_LICENSES} does not name DOMPurify: look for what replaced it, and name that instead")
    return found[1]


def package(name: str, version: str, **more: Any) -> dict[str, Any]:
    """A package of npm as a component of CycloneDX."""
    purl = f"pkg:npm/{name}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, **more}


def describe(folder: Path, version: str, released: str) -> dict[str, Any]:
    """The component of the files in `folder`. `released` is a time of ISO 8601."""
    files = [
        {
            "type": "file",
            "bom-ref": f"{NAME}/{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": sha256(folder / name)}],
        }
        for name in FILES
    ]
    purifier = package("dompurify", dompurify_version(folder), licenses=[{"expression": "MPL-2.0 OR Apache-2.0"}])
    return package(
        NAME,
        version,
        licenses=[{"license": {"id": "Apache-2.0"}}],
        releaseNotes={"type": "release", "timestamp": released},
        components=[purifier, *files],
    )


def npm(*arguments: str, folder: Path) -> str:
    """What npm prints. Raises `subprocess.CalledProcessError`."""
    return subprocess.run(["npm", *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def replace(source: Path, version: str, released: str) -> None:
    """Copy the files of an unpacked release over ours and write `component.json`.

    Source maps are not copied, so the line that names one is removed: browsers would ask for it in vain.
    """
    for name in FILES:
        content = (source / name).read_bytes()
        if name.endswith((".js", ".css")):
            content = re.sub(rb"(?m)^(?:/\*|//)# sourceMappingURL=[^\n]*\n?", b"", content)
        (FOLDER / name).write_bytes(content)
    COMPONENT.write_text(json.dumps(describe(FOLDER, version, released), indent=2) + "\n")


def main(arguments: list[str]) -> int:
    """Fetch a release and replace ours. Returns the exit status."""
    wanted = f"{NAME}@{arguments[0] if arguments else 'latest'}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        about = json.loads(npm("view", wanted, "version", "time", "--json", folder=folder))
        version = about["version"]
        (packed,) = json.loads(npm("pack", "--json", f"{NAME}@{version}", folder=folder))
        subprocess.run(["tar", "--extract", "--file", packed["filename"]], cwd=folder, check=True)
        before = component()["version"] if COMPONENT.exists() else "nothing"
        replace(folder / "package", version, re.sub(r"\.\d+(?=Z$)", "", about["time"][version]))
    print(f"{NAME}: {version} instead of {before}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
