"""What is added is connected: an endpoint is part of the application, and the contract has a row for it."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import server.api
import server.web
from server.app import TABLES, create_app
from server.settings.settings import Settings
from server.web.documentation.endpoints import document
from server.web.endpoints import Endpoints

ROOT = Path(__file__).parent.parent


def tables() -> Iterator[tuple[str, Endpoints]]:
    """Every table of endpoints in `server/api/` and `server/web/`, with its module."""
    for package in (server.api, server.web):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(found.name)).values():
                if isinstance(value, Endpoints):
                    yield found.name, value


def test_every_table_of_endpoints_is_part_of_the_application() -> None:
    found = [*tables()]
    assert len(found) > 10
    forgotten = [name for name, table in found if table not in TABLES]
    assert forgotten == [], "server/app.py does not serve the endpoints of these modules: add them to NOUNS"


def test_the_contract_names_every_endpoint_of_the_document(settings: Settings) -> None:
    section = (ROOT / "docs" / "contract.md").read_text().partition("\n## 2. ")[2].partition("\n## ")[0]
    named = {
        (method, re.sub(r"\{\w+\}", "{}", path).rstrip("/"))
        for methods, path in re.findall(r"((?:[A-Z]{3,}(?:, | and )?)+) `?(/[^`\s]*)`", section)
        for method in re.findall("[A-Z]+", methods)
    }
    described = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path).rstrip("/"))
        for site in (settings, replace(settings, login_field="email"))
        for path, item in document(create_app(site))["paths"].items()
        for method in item
    }
    assert len(described) > 30
    missing = sorted(described - named)
    assert missing == [], "section 2 of docs/contract.md has a row for each endpoint: METHOD `path`"
    gone = sorted(each for each in named - described if each[1].startswith(("/auth", "/api")))
    assert gone == [], "section 2 of docs/contract.md names endpoints that do not exist"
