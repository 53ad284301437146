"""The alert rules and the dashboard of deploy/ use metrics that exist, and promtool accepts them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from server.telemetry import metrics
from server.telemetry.instruments import declared
from tests.processes import ROOT

RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "frontdesk.json"
NAMES = {name for name in declared() if not name.startswith("frontdesk_test_")}
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: Debian's package prometheus")


def used(text: str) -> set[str]:
    """The metrics of the service that a text names."""
    found = set(re.findall(r"frontdesk_[a-z_]+", text))
    return {name if name in NAMES else re.sub("_(bucket|sum|count)$", "", name) for name in found}


def expressions() -> list[str]:
    """The expressions of the dashboard, with the variables of Grafana replaced."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return [each.replace("$__rate_interval", "5m").replace("$instance", ".*") for each in found]


def promtool(*arguments: str | Path) -> None:
    assert PROMTOOL is not None
    ran = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_rules_use_metrics_that_exist_and_the_dashboard_shows_all_of_them() -> None:
    assert metrics.PROCESSES.name in NAMES
    assert used(RULES.read_text()) - NAMES == set()
    assert used("\n".join(expressions())) == NAMES


def test_every_alert_is_explained_and_tried() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    explained = re.findall(r"^### (Frontdesk\w+)", (ROOT / "docs" / "operate.md").read_text(), re.MULTILINE)
    assert alerts == explained
    tried = re.findall(r"alertname: (\w+)", RULES.with_suffix(".test.yaml").read_text())
    assert tried == [name for name in alerts for _ in range(2)]


@needs_promtool
def test_promtool_accepts_the_rules_and_each_fires_on_what_it_is_for() -> None:
    promtool("check", "rules", RULES)
    promtool("test", "rules", RULES.with_suffix(".test.yaml"))


@needs_promtool
def test_promtool_accepts_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(expressions())]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)
