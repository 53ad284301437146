"""The settings of an operator: read once, and checked as a whole. `declared.py` says which there are."""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from server.settings import connections, values
from server.settings import environment as settings_environment
from server.settings.account_model import AccountModel
from server.settings.contradictions import check_all
from server.settings.declared import Declared
from server.settings.faults import SettingFaults
from server.settings.roles import Roles

HIDDEN = "••••••"


@dataclass(frozen=True, kw_only=True)
class Settings(Declared):
    """All settings, and what follows from them."""

    @classmethod
    def names(cls) -> list[str]:
        """The names of all settings, as their environment variables have them."""
        return [each.name.upper() for each in dataclasses.fields(cls)]

    @classmethod
    def secrets(cls) -> list[str]:
        """The names of the settings that are secret: each may stand in the file that NAME_FILE names."""
        return [each.name.upper() for each in dataclasses.fields(cls) if each.metadata["secret"]]

    @classmethod
    def names_of_files(cls) -> list[str]:
        """The names of the variables that name the file of a secret."""
        return [name + settings_environment.FILE_SUFFIX for name in cls.secrets()]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """The settings in `environment`. A blank variable counts as absent. Raises SettingsError with every fault."""
        given: dict[str, Any] = {}
        faults = SettingFaults()
        texts = settings_environment.texts(environment, cls.names(), faults, secrets=cls.secrets())
        for each in dataclasses.fields(cls):
            name = each.name.upper()
            if name in texts:
                with faults.within(f"{name} ").collect():
                    given[each.name] = each.metadata["parse"](texts[name])
        check_all(given, environment, texts, faults)
        faults.check()
        return cls(**given)

    @property
    def worker_connections(self) -> int:
        """How many connections to the database each worker may have."""
        return connections.of_a_worker(self.database_connections, self.workers)

    @functools.cached_property
    def unused_lifetime(self) -> int:
        """Seconds after which a session ends that is neither refreshed nor used (security 24)."""
        return min(self.refresh_lifetime, self.session_idle_lifetime or self.refresh_lifetime)

    @functools.cached_property
    def roles(self) -> Roles:
        """The roles of the site. False when none are declared: the service then shows nothing of roles."""
        return self.site_file.roles or self.roles_file

    @functools.cached_property
    def account(self) -> AccountModel:
        """What an account consists of."""
        return self.site_file.account

    @property
    def site_url(self) -> str:
        """Where people reach the site, without a slash at the end. Never taken from a request (contract 11.15)."""
        host = {"0.0.0.0": "localhost", "::": "localhost"}.get(self.host, self.host)  # noqa: S104  compared, not bound
        return self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @functools.cached_property
    def public_path(self) -> str:
        """The path of PUBLIC_URL: a proxy serves the service below it, and strips it from requests; mostly empty."""
        return urlsplit(self.public_url).path

    @property
    def letters_dir(self) -> Path:
        """The folder for letters when there is no mail server."""
        return self.mail_dir or self.data_dir / "mail"

    @property
    def tells_unknown_email(self) -> bool:
        """Whether a request for a letter answers that no account has the address (contract 7.1)."""
        return self.password_reset_show_email_not_found or self.username_reset_show_email_not_found

    def shown(self) -> dict[str, str]:
        """The text of every setting by the name of its environment variable. Secrets are hidden."""
        table = {}
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            table[each.name.upper()] = HIDDEN if each.metadata["secret"] and value else values.shown(value)
        return table
