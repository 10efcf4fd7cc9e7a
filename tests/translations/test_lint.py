"""No string is left out: every word that people read passes through gettext, in templates, in Python and in scripts."""

import re

import pytest

from tests.messages import ROOT, python_files, template_files
from tests.translations import python_lint, template_lint

# Words that stay as they are in every language, each with its reason.
STAYS = {
    "Agon": "the product's name",
    "AGON": "the product's name",
    "· Agon": "the product's name",
    "CSV": "name of a format",
    "JSON": "name of a format",
    "(HTTP": "name of a protocol",
    "= 1 / (1 + 10^((R_j − R_i) /": "a formula",
    ")) R =": "a formula",
    "/ ln 10 · θ, Σ θ = 0": "a formula",
}
DATA = {"inference/demo/roster.py"}  # fills rows that operators edit, in one language
# The policy's words, which tests.messages collects from policy.toml; the names of languages, which Django has.
WRAPPED_ELSEWHERE = {"arena/moderation/gate.py", "arena/languages.py"}
SAMPLE = """{% load i18n %}{# not this #}<p class="x">Left out</p><p>{% translate "in" %} · {{ n }}</p>
{% blocktranslate count n=n %}{{ n }} vote{% plural %}{{ n }} votes{% endblocktranslate %}<code>pip</code>
<img alt="Seen" src="unseen.png"><b title="{% translate 'Fine' %}">{% if x %}Also out{% endif %}</b>
{% comment %}no{% endcomment %}"""


def files(paths):
    return [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in paths]


@pytest.mark.parametrize("path", files(template_files()))
def test_templates_leave_no_word_out(path) -> None:
    found = [left for left in template_lint.leftovers(path.read_text()) if left not in STAYS]
    told = "\n".join(f"{path}:{left.line}: {left!r}" for left in found)
    assert not found, f'write {{% translate "..." %}} or {{% blocktranslate %}} around\n{told}'


@pytest.mark.parametrize("path", files(template_files()))
def test_addresses_hold_plain_numbers(path) -> None:
    """Page 1,000 has to be ?page=1000."""
    found = re.findall(r"\w+=\{\{ [\w.]*number \}\}", path.read_text())
    assert not found, f"write {{{{ ...|unlocalize }}}}: {found}"


@pytest.mark.parametrize("path", files(python_files()))
def test_python_leaves_no_word_out(path) -> None:
    name, source = path.relative_to(ROOT).as_posix(), path.read_text()
    found = [left for left in python_lint.leftovers(source) if left.text not in ("vLLM", "Agon")]
    told = "\n".join(f"{path}:{left.line}: {left.what} {left.text!r}" for left in found)
    assert not found or name in DATA, (
        f"import gettext (where it runs per request) or gettext_lazy (in class bodies) as _ and wrap\n{told}"
    )
    if name not in WRAPPED_ELSEWHERE:
        loose = python_lint.untranslatable(source)
        assert not loose, f'give gettext a plain literal and fill in with %(name)s: _("...") % {{...}}\n{loose}'


def test_the_lint_finds_words_in_templates() -> None:
    assert [(left, left.line) for left in template_lint.leftovers(SAMPLE)] == [
        ("Left out", 1),
        ("Seen", 3),
        ("Also out", 3),
    ]


@pytest.mark.parametrize(
    "source",
    [
        'raise Refused(400, "code", "Left out")',
        'raise Refused(400, "code", f"Left out {n}")',
        'messages.success(request, "Left out")',
        'self.message_user(request, "Left" if n else _("in"))',
        'raise ValidationError({"field": "Left out"})',
        'x = models.CharField("left out", max_length=3)',
        'x = forms.CharField(help_text="Left out" + _("in"))',
        'class A(models.TextChoices):\n    B = "b", "left out"',
        'class A:\n    fieldsets = [("Left out", {})]',
        'class A:\n    class Meta:\n        verbose_name = "left out"',
        '@admin.action(description="Left out %(n)s" % {})\ndef f(): ...',
    ],
)
def test_the_lint_finds_words_in_python(source: str) -> None:
    assert python_lint.leftovers(source), source


@pytest.mark.parametrize(
    "source",
    [
        'raise Refused(400, "code", _("in %(n)s") % {"n": "word"})',
        'raise Refused(400, "code", message)',
        'parser.add_argument("--x", help="for operators")',
        'x = models.CharField(_("in"), max_length=3, default="word")',
        'x = models.ForeignKey("arena.Battle", models.CASCADE)',
        'class A(models.TextChoices):\n    B = "b", _("in")',
    ],
)
def test_the_lint_leaves_the_rest_alone(source: str) -> None:
    assert python_lint.leftovers(source) == []


def test_gettext_takes_literals_only() -> None:
    assert python_lint.untranslatable('_(f"{n} votes")') and not python_lint.untranslatable('_("votes")')


@pytest.mark.parametrize("path", files(sorted((ROOT / "static" / "js").glob("*.js"))))
def test_scripts_hold_no_words(path) -> None:
    """Sentences, and texts set as literals. What a script says comes from the page's data attributes."""
    source = re.sub(r"^\s*//.*$|\s//\s.*$", "", path.read_text(), flags=re.MULTILINE)
    literals = re.findall(r"\"([^\"\n]*)\"|'([^'\n]*)'|`([^`]*)`", source)
    sentences = [text for group in literals for text in group if re.search(r"^[A-Z]?[a-z]+( [a-z]+)+[.…]?$", text)]
    set_as_literal = re.findall(r"(?:textContent|innerText|title|placeholder)\s*=\s*[\"'`]\w[^\"'`]*", source)
    set_as_literal += re.findall(r"setAttribute\(\"(?:aria-label|title|alt|placeholder)\", *[\"'`][^\"'`]*", source)
    assert not sentences + set_as_literal, f"{path}: take these from a data-t-* attribute of the page"
