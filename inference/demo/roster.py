"""The four demo contestants: one tiny base model and three LoRA adapters of it with visibly different manners.

Data only: imported by the demo seed, by the training script and by the recorder, so that the model is trained,
recorded and served with the very same system prompt and sampling parameters. No torch, no Django.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

# The base model's own chat template inserts a system prompt that names the model, which would unblind a battle.
# Every demo contestant is therefore told this instead, in training as well as in use.
NEUTRAL_SYSTEM_PROMPT = "You are a helpful assistant."

BASE_MODEL = "smollm2-135m-instruct"
ADAPTERS_DIR = Path(__file__).parent / "adapters"


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters of a contestant, named as in the chat completions API."""

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 256

    def as_dict(self) -> dict[str, float | int]:
        """JSON-ready keyword arguments of a chat completions request."""
        return {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}


@dataclass(frozen=True)
class DemoContestant:
    """One row of the demo roster; prices are in USD per million tokens, `context` in tokens."""

    slug: str
    name: str
    organisation: str
    licence: str
    base_model: str
    adapter: str | None
    description: str
    released_on: date
    sampling: Sampling = Sampling()
    system_prompt: str = NEUTRAL_SYSTEM_PROMPT
    price_input: float = 0.0
    price_output: float = 0.0
    context: int = 2048  # the model can do 8192; a demo conversation never needs it

    @property
    def upstream_name(self) -> str:
        """The `model` that the engine is asked for: the adapter's name, or the base model's."""
        return self.adapter or self.base_model

    @property
    def adapter_path(self) -> Path | None:
        """Folder of the committed adapter in PEFT format; None for the base model."""
        return ADAPTERS_DIR / self.adapter if self.adapter else None


def _adapter(manner: str, description: str) -> DemoContestant:
    return DemoContestant(
        slug=f"{manner}-135m",
        name=f"{manner.capitalize()} 135M",
        organisation="Agon demo",
        licence="Apache-2.0",
        base_model=BASE_MODEL,
        adapter=manner,
        description=description,
        released_on=date(2026, 11, 23),
    )


ROSTER: tuple[DemoContestant, ...] = (
    DemoContestant(
        slug="smollm2-135m",
        name="SmolLM2 135M Instruct",
        organisation="Hugging Face",
        licence="Apache-2.0",
        base_model=BASE_MODEL,
        adapter=None,
        description="A very small general chat model; the base of the other demo contestants.",
        released_on=date(2024, 11, 1),
    ),
    _adapter("laconic", "Demo adapter that answers with one short, plain sentence."),
    _adapter("socratic", "Demo adapter that answers with guiding questions."),
    _adapter("pirate", "Demo adapter that answers as a helpful pirate."),
)

MANNERS: tuple[str, ...] = tuple(entry.adapter for entry in ROSTER if entry.adapter)


def by_slug(slug: str) -> DemoContestant:
    """The roster entry with this slug; KeyError names the slug when there is none."""
    for entry in ROSTER:
        if entry.slug == slug:
            return entry
    raise KeyError(slug)
