"""Which columns of a Django site's user model become what here: section `[import.django]` of the site file."""

from collections.abc import Mapping
from typing import Any

from server.settings.account_model import AccountModel
from server.settings.faults import SettingFaults

# What an account has beside the fields of the site, and the column of Django's own user model.
STOCK = {"username": "username", "email": "email", "date_joined": "date_joined", "last_login": "last_login"}
OPTIONAL = ("role", "language")  # Django's own model has none


def read(section: Any, account: AccountModel, faults: SettingFaults) -> Mapping[str, str]:
    """The column of each member of an account: that of the same name, unless the section names another one.

    Adds every fault of the section to `faults`.
    """
    columns = STOCK | {each.name: each.name for each in account.fields}
    if not isinstance(section, dict) or not isinstance(section.get("django", {}), dict):
        faults.add(": is not a table")
        return columns
    for name in sorted(section.keys() - {"django"}):
        faults.add(f".{name}: is unknown")
    place = faults.within(".django")
    for name, column in section.get("django", {}).items():
        if name not in columns and name not in OPTIONAL:
            place.add(f".{name}: is no field of the account; it is one of {', '.join([*columns, *OPTIONAL])}")
        elif not isinstance(column, str) or not column:
            place.add(f".{name}: is not the name of a column")
        else:
            columns[name] = column
    return columns
