"""--adapters-dir: each subfolder is an adapter of its name. What appears, changes or goes is found by looking again.

A folder is tried once per version of its files: one that is refused is logged and tried again when it has changed, and one that
an operator has unloaded stays unloaded until then. Nothing outside the folder is read, links included.
Tests: tests/inference/engine/test_adapter_folder.py.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from inference.engine import peft
from inference.engine.sequence import AdapterError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}")

Version = tuple[peft.Signature | None, ...]
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Changes:
    """What a scan found: adapters that are new or other than before, names whose folder has gone."""

    found: dict[str, peft.Spec] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)


class AdapterFolder:
    """See the module. `inspect(path, root)` is Adapters.inspect; scans pass over `taken` names (the base model's, others')."""

    def __init__(
        self, root: Path, inspect: Callable[[Path, Path], peft.Spec], taken: frozenset[str] = frozenset()
    ) -> None:
        self.root = root
        self._inspect, self._taken = inspect, taken
        self._tried: dict[str, Version] = {}

    def scan(self) -> Changes:
        """Look at every subfolder. Any thread, one at a time; a folder that cannot be listed is logged and changes nothing."""
        changes = Changes()
        try:
            names = sorted(path.parent.name for path in self.root.glob(f"*/{peft.CONFIG}"))
        except OSError as error:
            log.warning("%s cannot be listed: %s", self.root, error)
            return changes
        for name in names:
            version = self._version(name)
            if name in self._taken or self._tried.get(name) == version:
                continue
            self._tried[name] = version
            try:
                changes.found[name] = self.inspect(name)
            except AdapterError as error:
                log.warning("adapter %s is not served: %s", name, error)
        changes.gone = sorted(self._tried.keys() - set(names))
        for name in changes.gone:
            del self._tried[name]
        return changes

    def inspect(self, name: str, path: str | None = None) -> peft.Spec:
        """The adapter `name` at `path` (default: the subfolder of that name), inside the folder. Raises AdapterError."""
        if not NAME.fullmatch(name):
            raise AdapterError(
                f"{name[:128]!r} is no name for an adapter: up to 128 letters, digits or any of . _ : @ + -"
            )
        return self._inspect(self.root / (path or name), self.root)

    def loaded(self, name: str) -> None:
        """The subfolder of that name was loaded by other means: the next scan need not look at it again."""
        self._tried[name] = self._version(name)

    def _version(self, name: str) -> Version:
        return tuple(peft.signature(self.root / name / file) for file in (peft.CONFIG, peft.TENSORS))
