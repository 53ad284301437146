"""Files of npm packages: axios, as most front ends have it, axe, which checks pages for people with disabilities, and
Mermaid, which draws the diagrams of the documentation.

Each is fetched at the version and with the checksum below.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / ".cache" / "npm"
INSTALL = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "npm"]


@dataclass(frozen=True)
class Packed:
    """A file of a package."""

    package: str
    version: str
    file: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where the file is kept."""
        return FOLDER / f"{self.package}-{self.version}.min.js"

    def fetch(self) -> None:
        """Fetch it with npm, if it is not there yet. Raises RuntimeError for another content."""
        if self.path.exists():
            return
        FOLDER.mkdir(parents=True, exist_ok=True)
        pack = ["npm", "pack", "--silent", f"{self.package}@{self.version}", "--pack-destination", str(FOLDER)]
        subprocess.run(pack, stdout=subprocess.DEVNULL, check=True)
        with tarfile.open(FOLDER / f"{self.package}-{self.version}.tgz") as package:
            found = package.extractfile(f"package/{self.file}")
            assert found is not None
            content = found.read()
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise RuntimeError(f"{self.package} {self.version} from npm has not the expected checksum")
        self.path.write_bytes(content)


AXIOS = Packed(
    "axios", "1.21.1", "dist/axios.min.js", "19bc8ddbce7b35030add3a26c43a33066990554359d5b83748694315e580e409"
)
MERMAID = Packed(
    "mermaid", "12.3.0", "dist/mermaid.min.js", "336df803d87a38b70a01e736e666c8f7601d2ce42f5e47c8fafe5d721074b9a3"
)
AXE = Packed("axe-core", "4.14.1", "axe.min.js", "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c")


def has_packages() -> bool:
    """Whether the files are there; they are fetched with npm first, which is installed for root."""
    packages = (AXIOS, AXE, MERMAID)
    if all(each.path.exists() for each in packages):
        return True
    if not shutil.which("npm") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(INSTALL, stdout=subprocess.DEVNULL, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    if not shutil.which("npm"):
        return False
    for each in packages:
        each.fetch()
    return True
