"""Reads the site file (SITE_FILE, TOML): what an account consists of, the roles of the site; what an import takes.

The file is read once, at the start, and checked as a whole (docs/decisions/site-file.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from server.settings import account_model, django_columns, roles, toml
from server.settings.account_model import AccountModel
from server.settings.faults import SettingFaults
from server.settings.roles import Roles


@dataclass(frozen=True, eq=False)
class Site:
    """What the site file declares; without a file, the account of the contract and no roles."""

    path: str = ""
    account: AccountModel = field(default_factory=AccountModel, repr=False)
    roles: Roles = field(default_factory=Roles, repr=False)
    django_columns: Mapping[str, str] = field(default_factory=lambda: django_columns.STOCK, repr=False)

    def __str__(self) -> str:
        return self.path


def read(path: str) -> Site:
    """The site that the file at `path` declares. Raises SettingsError with every fault of the file."""
    faults = SettingFaults()
    declared = toml.load(path, faults)
    for name in sorted(declared.keys() - {"account", "import", "roles"}):
        faults.add(f"{name}: is unknown")
    if not declared:
        faults.add("declares nothing: [account] and [roles.NAME] are its sections")
    account = account_model.read(declared.get("account", {}), faults.within("account"))
    found = roles.read_tables(path, declared["roles"], faults) if "roles" in declared else Roles()
    columns = django_columns.read(declared.get("import", {}), account, faults.within("import"))
    faults.check()
    return Site(path, account, found, columns)
