"""One last line for several pytest runs: `python tests/summary.py a.xml b.xml` adds their JUnit reports up."""

import sys
from xml.etree import ElementTree


def summary(paths: list[str]) -> tuple[str, int]:
    """The line and the exit code."""
    total = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    seconds = 0.0
    for path in paths:
        for suite in ElementTree.parse(path).getroot().iter("testsuite"):
            seconds += float(suite.get("time", 0))
            for key in total:
                total[key] += int(suite.get(key, 0))
    failed = total["failures"] + total["errors"]
    passed = total["tests"] - failed - total["skipped"]
    parts = [f"{failed} failed"] * bool(failed) + [f"{passed} passed"]
    parts += [f"{total['skipped']} skipped"] * bool(total["skipped"])
    return f"==== {', '.join(parts)} in {seconds:.0f}s ====", 1 if failed or not passed else 0


if __name__ == "__main__":
    line, code = summary(sys.argv[1:])
    print(line)
    sys.exit(code)
