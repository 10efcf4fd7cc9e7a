"""The export of /me: a file that is written while it is sent, so that its size costs no memory and no thread."""

import json
from collections.abc import AsyncIterator

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponseBase, StreamingHttpResponse
from django.utils.translation import get_language, override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena import clock, own_data, own_data_text
from arena.aio import in_db
from arena.models import Visitor
from arena.own_data import Fact
from arena.views.access import Request
from arena.views.my_data import for_visitors, said_on_the_page, slowly


class JsonFile:
    """One JSON object: what `own_data.about` says, then a list for each section."""

    kind, ending = "application/json", "json"

    def begin(self, about: Fact) -> str:
        return _json(about).removesuffix("}")

    def section(self, name: str) -> str:
        return f',\n"{name}": ['

    def facts(self, name: str, facts: list[Fact], first: bool) -> str:
        return "" if not facts else ("" if first else ",") + "\n" + ",\n".join(map(_json, facts))

    def end_of_section(self) -> str:
        return "]"

    def end(self) -> str:
        return "}\n"


class TextFile:
    """The same to read, in the language of the page that it was asked for on."""

    kind, ending = "text/plain; charset=utf-8", "txt"

    def __init__(self) -> None:
        self.language = get_language()

    def begin(self, about: Fact) -> str:
        with override(self.language):
            return own_data_text.about(about)

    def section(self, name: str) -> str:
        return ""

    def facts(self, name: str, facts: list[Fact], first: bool) -> str:
        with override(self.language):
            return "".join(map(own_data_text.WRITERS[name], facts))

    def end_of_section(self) -> str:
        return "\n"

    def end(self) -> str:
        return ""


FORMS: dict[str, type[JsonFile] | type[TextFile]] = {form.ending: form for form in (JsonFile, TextFile)}


@never_cache
@require_safe
@said_on_the_page
@for_visitors
def export(request: Request, me: Visitor, form: str) -> HttpResponseBase:
    """Everything that is held about the visitor; `form` is an ending of FORMS."""
    slowly(request, "export")
    file = FORMS[form]()
    response = StreamingHttpResponse(_written(me, file), content_type=file.kind)
    response["Content-Disposition"] = f'attachment; filename="agon-{clock.now():%Y-%m-%d}.{file.ending}"'
    return response


async def _written(visitor: Visitor, file: JsonFile | TextFile) -> AsyncIterator[str]:
    yield file.begin(own_data.about(visitor))
    for name, section in own_data.SECTIONS.items():
        yield file.section(name)
        pieces, first = await in_db(section.pieces, visitor), True
        for ids in pieces:
            facts = await in_db(section.read, visitor, ids)
            yield file.facts(name, facts, first)
            first = first and not facts
        yield file.end_of_section()
    yield file.end()


def _json(fact: Fact) -> str:
    return json.dumps(fact, cls=DjangoJSONEncoder, ensure_ascii=False)
