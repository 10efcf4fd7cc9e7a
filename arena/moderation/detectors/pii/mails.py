"""Mail addresses, plain and written as `name (at) host (dot) org`."""

import re
from collections.abc import Iterator

from arena.moderation.detectors.pii.normal import Found

LOCAL, HOST = 64, 255  # longest parts (RFC 5321)
BEFORE = re.compile(r"[\w.+%'-]+$")
AFTER = re.compile(r"[^\W_]([\w-]*\.)+[^\W\d_]{2,24}(?![\w@(])")
SPELLED = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64} ?[\[({] ?at ?[\])}] ?[\w-]{1,63}(?: ?(?:[\[({] ?dot ?[\])}]|\.) ?[\w-]{2,63}){1,4}"
    r"|(?<![\w.+-])[\w.+-]{1,64} at [\w-]{1,63}(?: dot [\w-]{2,63}){1,4}\b",
    re.IGNORECASE,
)
NOBODY = frozenset({"git", "hg", "svn"})  # accounts of machines: git@host
# What follows a point in code where `a @ b.name` multiplies or decorates, and file names of scoped packages.
NO_DOMAIN = re.compile(
    r"(?i)(?:shape|dot|sum|mean|std|inv|conj|copy|real|imag|values|weight|bias|data|transpose|astype|reshape"
    r"|[jt]sx?|mjs|cjs|css|json|py|html|md|txt|png|jpg|svg|ya?ml|xml|tgz|gz|zip|local|localhost|internal)"
)


def find(text: str) -> Iterator[Found]:
    at = text.find("@")
    while at >= 0:
        if found := _around(text, at):
            yield found
        at = text.find("@", at + 1)
    for spelled in SPELLED.finditer(text):
        yield Found("email", *spelled.span())


def _around(text: str, at: int) -> Found | None:
    begin = max(0, at - LOCAL)
    local, domain = BEFORE.search(text[begin:at]), AFTER.match(text, at + 1, at + 1 + HOST)
    if not local or not domain:
        return None
    name = local[0].strip(".'-")
    if not name or name.lower() in NOBODY or NO_DOMAIN.fullmatch(domain[0].rpartition(".")[2]):
        return None
    return Found("email", at - len(local[0].lstrip(".'-")), domain.end())
