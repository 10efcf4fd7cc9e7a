"""The columns of a release in words, for its pages."""

from django.utils.translation import gettext_lazy as _

COLUMNS = (
    ("conversation_id", "string", _("32 hex digits of a keyed hash, the same in every release")),
    ("model", "string", _("the model's public name")),
    ("conversation", "list<{content, role}>", _("the messages: prompts (user) and answers (assistant) in turn")),
    ("turn", "int64", _("how many prompts there are")),
    ("language", "string", _("English name of the language of most prompts, or unknown")),
    (
        "openai_moderation",
        "list<{categories, category_scores, flagged}>",
        _("per message: the newest verdict of a moderation backend in eleven categories"),
    ),
    ("redacted", "bool", _("always false: conversations with personal data stay out as a whole")),
)
