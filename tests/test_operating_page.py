"""docs/operating.md can be followed: commands, options, files, variables, metrics and words that it names exist."""

import re
from pathlib import Path

from django.core.management import get_commands, load_command_class

from arena import installation
from tests.test_settings_reference import NAME

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "operating.md").read_text()


def test_every_command_and_option_exists() -> None:
    known = get_commands()
    named = re.findall(r"(?:manage\.py|\bagon) ([a-z_]+)((?: --[a-z-]+| [^\s`|;#-]\S*)*)", PAGE)
    named = [(name, rest) for name, rest in named if name in known or f"manage.py {name}" in PAGE]
    assert {
        "backup",
        "restore",
        "prepare",
        "processes",
        "admin_link",
        "enrich",
        "refit",
        "reseal_keys",
        "seed_demo",
    } <= {name for name, _ in named}
    for name, rest in named:
        assert name in known, name
        options = load_command_class(known[name], name).create_parser("manage.py", name)._option_string_actions
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in options, f"{name} {option}"


def test_every_option_of_restore_and_backup_is_explained() -> None:
    for name in ("backup", "restore"):
        parser = load_command_class("arena", name).create_parser("manage.py", name)
        own = {action.option_strings[0] for action in parser._actions if action.option_strings}
        own -= {action for action in own if action in {"-h", "--version", "-v", "--settings", "--pythonpath"}}
        for option in own - {"--traceback", "--no-color", "--force-color", "--skip-checks"}:
            assert option in PAGE, f"{name} {option}"


def test_every_file_for_deployment_is_named_and_there() -> None:
    files = {path.name for path in (ROOT / "docs" / "deploy").iterdir()}
    assert files == {name for name in files if name in PAGE}
    for path in re.findall(r"docs/deploy/[\w.-]+", PAGE):
        assert (ROOT / path).exists(), path
    for page in re.findall(r"\]\(([\w-]+\.md)\)", PAGE):
        assert (ROOT / "docs" / page).exists(), page


def test_variables_and_metrics_are_real() -> None:
    documented = set(NAME.findall((ROOT / "docs" / "settings.md").read_text()))
    named = {name for name in NAME.findall(PAGE) if f"{name}_*" not in PAGE}
    assert named - documented == set()
    metrics = (ROOT / "docs" / "metrics.md").read_text()
    for name in set(re.findall(r"`(agon_[a-z_]+)`", PAGE)):
        assert f"`{name}`" in metrics or name.startswith("agon_before"), name


def test_the_incident_list_is_complete_and_quotes_real_words() -> None:
    section = PAGE.split("## When something is wrong")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split(" | ")] for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    assert all(len(row) == 3 and all(row) for row in rows)
    seen = " ".join(row[0] for row in rows)
    for topic in ("disk", "Valkey", "PostgreSQL", "engine", "adapter", "key", "waiting", "429", "leases", "migration"):
        assert topic in section, topic
    files = [path for folder in ("arena", "inference") for path in (ROOT / folder).rglob("*.py")]
    sources = "\n".join(path.read_text() for path in [*files, *(ROOT / "templates").rglob("*.html")])
    for words in (
        "a stored key cannot be read",
        "for a table that is in use and gave up",
        "cannot answer right now",
        "The arena cannot take prompts at this moment",
        "The arena is busy; your battle is next in line",
    ):
        assert words in seen and words in sources, words
    assert f"waited {installation.TABLE_LOCK_WAIT_MS // 1000} s" in seen
