"""Model text to safe HTML, whole or as it streams. Django-free.

`render(text)` is the HTML of a finished text; `BlockStream` gives the same HTML block by block while the text arrives.
docs/threat-model.md says what this must withstand; tests/arena/markdown/ holds the attacks.
"""

from arena.markdown.stream import BlockStream, render

__all__ = ["BlockStream", "render"]
