"""Chat messages to token ids, so that nobody's text can pretend to be the template.

Kept from the usual chat-template practice: a sandboxed jinja2 template decides the layout, and only it writes control
tokens. Different: control tokens inside message texts are swapped for placeholders before rendering and encoded as plain
characters afterwards, so `<|im_end|>` typed by a person is read as ten letters, never as the end of the turn. A template
that marks its turns with plain words ("USER:") has no control tokens to protect.
Tests: tests/inference/engine/test_text.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from inference.engine.config import ConfigError
from inference.engine.sequence import RequestError

# Placeholders come from plane 15 (private use); a message that uses these characters gets placeholders for them too.
_FIRST_PLACEHOLDER, _LAST_PLACEHOLDER = 0xF0000, 0xFFFFD
_PRIVATE = f"[{chr(_FIRST_PLACEHOLDER)}-{chr(_LAST_PLACEHOLDER)}]"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn: `role` is system, user or assistant."""

    role: str
    content: str


class Placeholders:
    """Stands one private character in for each control token (or private character) that a text contains."""

    def __init__(self, control: Collection[str]) -> None:
        longest_first = sorted(control, key=len, reverse=True)
        self._pattern = re.compile("|".join([*map(re.escape, longest_first), _PRIVATE]))
        self._original: dict[str, str] = {}
        self._stand_in: dict[str, str] = {}

    def hide(self, text: str) -> str:
        """`text` without control tokens. Raises RequestError when placeholders run out."""
        return self._pattern.sub(lambda match: self._new(match.group()), text)

    def mark(self) -> str:
        """A character that occurs nowhere else and stands for nothing."""
        return self._new("", fresh=True)

    def _new(self, original: str, fresh: bool = False) -> str:
        if not fresh and original in self._stand_in:
            return self._stand_in[original]
        code = _FIRST_PLACEHOLDER + len(self._original)
        if code > _LAST_PLACEHOLDER:
            raise RequestError("the messages use too many different private-use characters")
        self._original[chr(code)] = original
        if not fresh:
            self._stand_in[original] = chr(code)
        return chr(code)

    def restore(self, text: str) -> str:
        """The reverse of `hide`."""
        return re.sub(_PRIVATE, lambda match: self._original.get(match.group(), match.group()), text)

    def __bool__(self) -> bool:
        return bool(self._original)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path} must hold a JSON object")
    return loaded


def _token_text(raw: object) -> str:
    """A special token of tokenizer_config.json: a string, or an object with `content`."""
    if isinstance(raw, dict):
        raw = raw.get("content")
    return raw if isinstance(raw, str) else ""


def _raise_in_template(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _compile(source: str) -> jinja2.Template:
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    env.globals["raise_exception"] = _raise_in_template
    env.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    env.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    return env.from_string(source)


def _bare(tokenizer_json: str) -> Tokenizer:
    """The tokenizer without control tokens: their characters are ordinary text to it.

    Added tokens that are only white space stay: some vocabularies encode runs of blanks with them.
    """
    raw = json.loads(tokenizer_json)
    raw["added_tokens"] = [token for token in raw.get("added_tokens", []) if not token["content"].strip()]
    raw["post_processor"] = None
    return Tokenizer.from_str(json.dumps(raw))


class ChatText:
    """Tokenizer and chat template of one model directory. Thread-safe: nothing changes after construction."""

    def __init__(self, directory: Path) -> None:
        """Raises ConfigError when the directory has no tokenizer.json or no usable chat template."""
        path = directory / "tokenizer.json"
        if not path.is_file():
            raise ConfigError(f"{path} is missing: the engine reads Hugging Face model directories")
        raw = path.read_text(encoding="utf-8")
        self.tokenizer = Tokenizer.from_str(raw)
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self._bare = _bare(raw)
        added = self.tokenizer.get_added_tokens_decoder()
        self._control = {token.content: token_id for token_id, token in added.items() if token.content.strip()}
        self._split = re.compile("(" + "|".join(map(re.escape, sorted(self._control, key=len, reverse=True))) + ")")
        settings = _read_json(directory / "tokenizer_config.json")
        self._specials = {name: _token_text(settings.get(name)) for name in ("bos_token", "eos_token", "pad_token")}
        self._template = self._load_template(directory, settings)
        self.stop_token_ids = self._stop_ids(directory)

    def _load_template(self, directory: Path, settings: dict[str, Any]) -> jinja2.Template:
        file = directory / "chat_template.jinja"
        source = file.read_text(encoding="utf-8") if file.is_file() else settings.get("chat_template")
        if isinstance(source, list):  # several named templates; the plain chat one is called "default"
            source = next((entry.get("template") for entry in source if entry.get("name") == "default"), None)
        if not isinstance(source, str):
            raise ConfigError(f"{directory} has no chat template: put one into chat_template.jinja")
        try:
            return _compile(source)
        except jinja2.TemplateError as error:
            raise ConfigError(f"the chat template of {directory} does not compile: {error}") from None

    def _stop_ids(self, directory: Path) -> tuple[int, ...]:
        """End-of-turn ids: generation_config.json, else config.json; and the tokenizer's own eos token."""
        ids: set[int] = set()
        for name in ("config.json", "generation_config.json"):
            declared = _read_json(directory / name).get("eos_token_id")
            if declared is not None:
                ids = set(declared) if isinstance(declared, list) else {declared}
        own = self.tokenizer.token_to_id(self._specials["eos_token"]) if self._specials["eos_token"] else None
        return tuple(sorted(ids if own is None else ids | {own}))

    def prompt_ids(
        self, messages: Sequence[ChatMessage], add_generation_prompt: bool = True, continue_final: bool = False
    ) -> list[int]:
        """Token ids of the rendered conversation. Raises RequestError when the template refuses the messages.

        `continue_final` leaves the last message open: the reply continues its text.
        """
        hidden = Placeholders(self._control)
        turns = [{"role": m.role, "content": hidden.hide(m.content)} for m in messages]
        cut = ""
        if continue_final:
            # A mark behind the text shows where the template goes on, whatever it trims.
            cut = hidden.mark()
            turns[-1]["content"] += cut
        rendered = self._render(turns, add_generation_prompt)
        if continue_final:
            if rendered.count(cut) != 1:
                raise RequestError("the chat template does not show the final message, so it cannot be continued")
            rendered = rendered[: rendered.index(cut)]
        return self._encode(rendered, hidden)

    def _render(self, turns: list[dict[str, str]], add_generation_prompt: bool) -> str:
        try:
            return self._template.render(
                messages=turns, add_generation_prompt=add_generation_prompt, tools=None, **self._specials
            )
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise RequestError(f"the model's chat template refuses these messages: {error}") from None

    def _encode(self, rendered: str, hidden: Placeholders) -> list[int]:
        if not hidden:
            return list(self.tokenizer.encode(rendered, add_special_tokens=False).ids)
        ids: list[int] = []
        for i, part in enumerate(self._split.split(rendered) if self._control else [rendered]):
            if i % 2:  # a control token, and only the template can have written it
                ids.append(self._control[part])
            elif part:
                ids += self._bare.encode(hidden.restore(part), add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, control tokens left out; bytes that are no UTF-8 become U+FFFD."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def token_text(self, token_id: int) -> str:
        """One token as text, control tokens by their name."""
        return self.tokenizer.decode([token_id], skip_special_tokens=False)
