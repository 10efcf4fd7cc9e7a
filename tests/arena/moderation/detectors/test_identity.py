"""Who wrote this? Answers that tell are found however they are spelled; honest talk about companies is left alone."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.moderation.detectors.identity import reveals_identity

NAMES = [
    "SmolLM2 135M Instruct",
    "Hugging Face",
    "smollm2-135m-instruct",
    "GPT-4o",
    "OpenAI",
    "Owl",
    "Pirate 135M",
    "Agon demo",
]

TELLS = [
    "I am SmolLM2, how can I help?",
    "I'm GPT-4o.",
    "Hello! My name is Claude.",
    "You can call me Owl.",
    "I am Gemini, a model by Google.",
    "I am a large language model, trained by Google.",
    "As a language model developed by OpenAI, I cannot do that.",
    "I was created by Anthropic.",
    "As an AI assistant made by Meta AI I try to be fair.",
    "I am an AI assistant named SmolLM, trained by Hugging Face.",
    "I'm a Qwen model.",
    "I am the DeepSeek assistant.",
    "I am called Mistral.",
    "I'm an AI language model created by OpenAI called ChatGPT.",
    "My creators: I was built by xAI.",
    "This answer comes from gpt-4o.",
    "(smollm2 135m instruct)",
    "I AM CLAUDE",
    # ten languages
    "Je suis Claude, un assistant.",
    "Je m'appelle Mistral.",
    "J'ai été entraîné par OpenAI, je suis un modèle.",
    "Soy ChatGPT, un modelo de lenguaje.",
    "Me llamo Gemini.",
    "Soy un modelo de lenguaje desarrollado por OpenAI.",
    "Ich bin Claude.",
    "Ich bin ein Sprachmodell, entwickelt von OpenAI.",
    "Mein Name ist Qwen.",
    "Ich wurde von Google entwickelt.",
    "Eu sou o ChatGPT.",
    "Fui criado por OpenAI e meu nome é GPT.",
    "Sono Gemini.",
    "Mi chiamo Claude.",
    "Я — GigaChat.",
    "Меня зовут Алиса? Нет, меня зовут YandexGPT.",
    "Я языковая модель, разработанная OpenAI.",
    "我是通义千问，由阿里云开发的。",
    "我是由OpenAI训练的大型语言模型。",
    "我叫DeepSeek。",
    "我是 Claude。",
    "私はChatGPTです。",
    "私はOpenAIによって開発された言語モデルです。",
    "저는 Claude입니다.",
    "저는 네이버에서 개발한 모델입니다.",
    "Ben ChatGPT.",
    "Ik ben Claude.",
    "انا ChatGPT",
    "मैं Gemini हूँ",
    # spelled to slip through (S26)
    "I am Cl\u200baude.",
    "I am \u0421\u04cf\u0430ud\u0435.",
    "I am Ｃｌａｕｄｅ.",
    "I am 𝐂𝐥𝐚𝐮𝐝𝐞.",
    "I am Cláude.",
    "I am \u202eedualC\u202c.",
    "I am C\u00adl\u00adaude.",
    "I\u200b am\u2060 ΟpenAI",
    "I am **Claude**.",
    "I am `Claude`",
    "I am\nClaude",
    "*My name is:* _Claude_",
    "G\u200bP\u200bT-4\u043e wrote this",
]

HONEST = [
    "Google was founded by Larry Page and Sergey Brin in 1998.",
    "Palm oil comes from the fruit of oil palms.",
    "Dates grow on palms. I am fond of them.",
    "A bard sang of the king.",
    "Claude Monet painted water lilies.",
    "Llamas are related to alpacas and camels.",
    "I am a pirate, matey! Arr.",
    "The constellation Gemini is best seen in winter.",
    "The mistral is a cold wind.",
    "TensorFlow was developed by Google.",
    "OpenAI released ChatGPT in 2022.",
    "I am a helpful assistant.",
    "I am a language model, so I cannot see pictures.",
    "I am sorry, I do not know.",
    "As an AI language model, I have no opinions.",
    "My name is not important.",
    "I am happy to explain how Apple and Microsoft compete.",
    "I like the novels published by Penguin.",
    "The owl is a bird of the night.",
    "Ich bin ein Assistent.",
    "Je suis un assistant.",
    "Soy un asistente.",
    "我是一个人工智能助手。",
    "私はアシスタントです。",
    "저는 도우미입니다.",
    "The falcon dives. A koala sleeps.",
    "To hug a face is an odd idea. Hugging Face hosts models.",
    "In chess, I am told, the pirate wins.",
    "A demo of agony.",
    "I am reading about how Claude Shannon founded information theory.",
    "He said: I work for the city.",
    "OpenAIs competitors",
    "Meta-analysis is what I am good at.",
    "",
]


@pytest.mark.parametrize("text", TELLS)
def test_answers_that_tell(text: str) -> None:
    assert reveals_identity(text, NAMES)


@pytest.mark.parametrize("text", HONEST)
def test_honest_answers(text: str) -> None:
    assert not reveals_identity(text, NAMES)


def test_a_plain_word_as_codename_counts_only_as_a_name() -> None:
    assert reveals_identity("Hi, I'm Juniper!", ["Juniper"])
    assert not reveals_identity("Gin is made with juniper.", ["Juniper"])
    assert not reveals_identity("Hi, I'm Juniper!", ["Basil"])


def test_a_name_is_bound_by_words() -> None:
    assert reveals_identity("model-7b here", ["model-7b"])
    assert not reveals_identity("supermodel-7bx here", ["model-7b"])


def test_names_of_any_kind_are_taken() -> None:
    assert not reveals_identity("I am here.", ["", "  ", "!!!", "a " * 40])
    assert reveals_identity("I am a a a a a a, your helper.", ["a " * 40])


@given(st.text(max_size=300), st.lists(st.text(max_size=20), max_size=4))
def test_any_text_and_names_are_judged(text: str, names: list[str]) -> None:
    assert reveals_identity(text, names) in (True, False)


def test_long_hostile_answers_cost_linear_time() -> None:
    def cost(text: str) -> float:
        start = time.process_time()
        reveals_identity(text, NAMES)
        return time.process_time() - start

    for unit in ("i am a ", "我是", "claude ", "i am claud ", "a\u0301\u0316", "\u202e", "smollm2-135 "):
        cost(unit)
        assert cost(unit * (100_000 // len(unit))) < 3.0
