"""Prints the test files and folders that belong to what changed since the last commit, or in it when all is committed."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORDS = "tests/translations"
EVERYWHERE = {
    "pyproject.toml",
    "arena/settings.py",
    "arena/bounds.py",
    "arena/schedule.py",
    "tests/conftest.py",
    "tests/settings.py",
    "tests/factories.py",
}


def changed_files() -> list[str]:
    """Paths relative to the root."""
    dirty = _git("status", "--porcelain", "--untracked-files=all")
    if dirty:
        return [line[3:].split(" -> ")[-1] for line in dirty]
    return _git("diff", "--name-only", "HEAD~1", "HEAD")


def affected(paths: list[str], root: Path = ROOT) -> list[str]:
    """Test files and folders: the changed tests themselves, and the mirror of every changed source."""
    if EVERYWHERE & set(paths):
        return ["tests"]
    found = {place for path in paths if (place := _mirror(Path(path), root))}
    if any(_has_words(Path(path)) for path in paths) and (root / WORDS).exists():
        found.add(WORDS)
    return sorted(place for place in found if not any(f"{place}/".startswith(f"{other}/") for other in found - {place}))


def _has_words(path: Path) -> bool:
    """Whether people may read what stands in the file: then every language must have it."""
    return path.parts[0] in ("templates", "static", "arena", "inference", "ranking", "datasets") and len(path.parts) > 1


def _mirror(path: Path, root: Path) -> str | None:
    if path.parts[0] == "tests":
        return str(path) if path.name.startswith("test_") and (root / path).exists() else None
    if path.parts[0] in ("templates", "static"):
        return _tests_of_pages(path.parts[1], root)
    if path.suffix not in (".py", ".c", ".h"):
        return None
    named = [root / "tests" / path.parent / f"test_{path.stem}.py", root / "tests" / path.with_suffix("")]
    folders = [root / "tests" / parent for parent in path.parents if parent != Path(".")]
    for place in (*named, *folders):
        if place.exists():
            return str(place.relative_to(root))
    return None


def _tests_of_pages(room: str, root: Path) -> str:
    """Of templates/<room>/: the tests of that room's pages; those of the web app for whatever every page has."""
    rooms = [f"tests/{room}/pages", f"tests/{room}", f"tests/datasets/{room}"]
    return next((place for place in rooms if (root / place).is_dir()), "tests/arena")


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if line]


if __name__ == "__main__":
    print(" ".join(affected(changed_files())))
