"""Keys, tokens and passwords by their form, in prose and in code alike. Placeholders of documentation are none."""

import math
import re
from collections import Counter
from collections.abc import Iterator

from arena.moderation.detectors.pii.normal import Found

MAX_BLOCK = 20_000  # characters of a private key block that has no end
FORMS = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}"  # AWS
    r"|sk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_-]{20,200}"  # OpenAI, Anthropic and the like
    r"|(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255}|glpat-[A-Za-z0-9_-]{20,60}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-\d-[A-Za-z0-9-]{20,200}"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,500}|GOCSPX-[A-Za-z0-9_-]{28}"
    r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,250}|whsec_[A-Za-z0-9]{24,100}"
    r"|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}|key-[0-9a-f]{32}|(?:AC|SK)[0-9a-f]{32}"
    r"|hf_[A-Za-z0-9]{30,60}|npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{50,300}|dop_v1_[0-9a-f]{64}|dckr_pat_[A-Za-z0-9_-]{20,60}"
    r"|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|lin_api_[A-Za-z0-9]{40}|r8_[A-Za-z0-9]{37}|gsk_[A-Za-z0-9]{40,60}|xai-[A-Za-z0-9]{60,100}"
    r"|\d{8,10}:[A-Za-z0-9_-]{35}"  # Telegram bots
    r"|[MN][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}"  # Discord bots
    r"|AGE-SECRET-KEY-1[A-Z0-9]{58}"
    r"|eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,2000}"  # JSON web tokens
    r")(?![A-Za-z0-9_])"
)
HOOK = re.compile(
    r"https://hooks\.slack\.com/services/T\w{6,12}/B\w{6,12}/\w{16,32}|https://discord(?:app)?\.com/api/webhooks/\d{15,20}/[\w-]{50,80}"
)
BLOCK = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
BLOCK_END = re.compile(r"-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
# A name that promises a secret, a sign, and a value that looks drawn by lot.
ASSIGNED = re.compile(
    r"(?i:api[_-]?key|access[_-]?key|secret[_-]?(?:access[_-]?)?key|client[_-]?secret|account[_-]?key|auth[_-]?token|access[_-]?token"
    r"|refresh[_-]?token|bearer|token|secret|passwd|password|passphrase|pwd)[\"']?\s{0,3}(?:[:=]|=>|:=|\s)\s{0,3}[\"'`]?"
    r"([A-Za-z0-9_+/=.~!@#%^&*-]{16,512})"
)
USERINFO = re.compile(r"(?<![\w])[a-z][a-z0-9+.-]{1,20}://([^\s/:@\"'<>]{1,64}):([^\s/@\"'<>]{3,128})@[\w.-]{1,255}")
EXAMPLE = re.compile(
    r"(?i)your|example|placeholder|change.?me|x{4,}|\*{3,}|\.{3,}|<|>|\{|\$|dummy|sample|redacted|1234567890?|abcdef|insert|process\.env|environ"
    r"|getenv|secret|password|passwd|token|apikey|api_key"
)
PASSWORDS = re.compile(
    r"(?i)^(?:pass(?:word|wd)?|pwd|secret|root|admin|user|postgres|mypassword|guest|test|changeme|token|\W*)\d{0,4}$"
)
DOTTED = re.compile(r"[^.]+(?:\.[^.\d]+)+")  # settings.API.key: a name, not a value
LEAST_BITS = 3.2  # entropy per character of a value that stands for chance


def find(text: str) -> Iterator[Found]:
    for form in (FORMS, HOOK):
        for match in form.finditer(text):
            if not _monotonous(match[0]):
                yield Found("secret", *match.span())
    for block in BLOCK.finditer(text):
        end = BLOCK_END.search(text, block.end(), block.end() + MAX_BLOCK)
        yield Found("secret", block.start(), end.end() if end else min(len(text), block.end() + MAX_BLOCK))
    for match in ASSIGNED.finditer(text):
        if _drawn(match[1]):
            yield Found("secret", *match.span(1))
    for match in USERINFO.finditer(text):
        if not PASSWORDS.match(match[2]) and not EXAMPLE.search(match[2]):
            yield Found("secret", match.start(1), match.end(2))


def _drawn(value: str) -> bool:
    """Whether a value looks drawn by lot: letters and digits mixed, no words of documentation, enough entropy."""
    value = value.strip("=.")
    if len(value) < 16 or EXAMPLE.search(value) or DOTTED.fullmatch(value):
        return False
    mixed = sum(map(str.isdigit, value)) >= 2 and any(map(str.isalpha, value))
    return mixed and _bits(value) >= LEAST_BITS


def _monotonous(value: str) -> bool:
    """`sk-xxxxxxxx...`: a form filled with one or two characters."""
    return len(set(value[-16:].lower())) <= 4


def _bits(value: str) -> float:
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
