"""A tokenizer.json from the tokenizer fields of a GGUF file (byte-level BPE, pre-tokeniser "smollm")."""

from __future__ import annotations

from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CONTROL, USER_DEFINED = 3, 4  # GGUF token types


class UnsupportedTokenizer(ValueError):
    """The GGUF's tokenizer is of a kind that is not written here yet."""


def build(fields: dict[str, Any]) -> Tokenizer:
    """The tokenizer that `tokenizer.ggml.*` fields describe; UnsupportedTokenizer for any other family."""
    model, pre = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre")
    if (model, pre) != ("gpt2", "smollm"):
        raise UnsupportedTokenizer(
            f"this GGUF has tokenizer {model!r} with pre-tokeniser {pre!r}; only 'gpt2' with 'smollm' can be "
            "converted: use the model's Hugging Face directory instead"
        )
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ", 1)) for pair in fields["tokenizer.ggml.merges"]]
    bpe = models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges)
    tokenizer = Tokenizer(bpe)
    # Every digit is a token of its own, then GPT-2's split into words, all in the byte alphabet.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    _add_special(tokenizer, tokens, fields["tokenizer.ggml.token_type"])
    return tokenizer


def _add_special(tokenizer: Tokenizer, tokens: list[str], types: list[int]) -> None:
    for kind, special in ((CONTROL, True), (USER_DEFINED, False)):
        added = [
            AddedToken(t, special=special, normalized=False) for t, k in zip(tokens, types, strict=True) if k == kind
        ]
        if added and special:
            tokenizer.add_special_tokens(added)
        elif added:
            tokenizer.add_tokens(added)


def settings(fields: dict[str, Any]) -> dict[str, Any]:
    """tokenizer_config.json: special tokens by role, and the chat template."""
    tokens = fields["tokenizer.ggml.tokens"]
    roles = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    for role, name in roles.items():
        index = fields.get(f"tokenizer.ggml.{name}_token_id")
        if index is not None:
            config[f"{role}_token"] = tokens[index]
    config["add_bos_token"] = bool(fields.get("tokenizer.ggml.add_bos_token", False))
    config["model_max_length"] = fields.get("llama.context_length")
    if "tokenizer.chat_template" in fields:
        config["chat_template"] = fields["tokenizer.chat_template"]
    return config
