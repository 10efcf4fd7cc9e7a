"""The recovery code: a secret that makes another browser the same visitor. The vote receipt is something else: it is public.

160 random bits, written as eight groups of four letters and digits. Only their SHA-256 is stored: with that many bits a plain
hash cannot be searched, and the database compares hashes, so that the time of an answer says nothing about any code.
"""

import base64
import hashlib
import re
import secrets

from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from arena.errors import Refused
from arena.models import Visitor

BYTES = 20
GROUP = 4
LENGTH = BYTES * 8 // 5  # characters, without what separates the groups
LOOKS_LIKE = str.maketrans("018", "OIB")  # digits that base32 does not use, read as the letters they resemble


def mark(visitor: Visitor) -> str:
    """Stands for the code that the visitor has now, or for having none, and tells nothing of it."""
    return salted_hmac("agon.recovery.mark", visitor.recovery_hash or "").hexdigest()[:16]


def make(visitor: Visitor, instead_of: str) -> str:
    """A new code for the visitor, to be shown once; an earlier one opens nothing any more.

    `instead_of` is the mark of the code that it replaces. Refused 409 when that one is replaced already: whoever reloads the
    page of a new code sends the same form again, and would make the code useless that was just written down.
    """
    code = base64.b32encode(secrets.token_bytes(BYTES)).decode()
    current = Visitor.objects.filter(pk=visitor.pk, recovery_hash=visitor.recovery_hash)
    if not constant_time_compare(mark(visitor), instead_of) or not current.update(recovery_hash=_hash(code)):
        visitor.refresh_from_db(fields=["recovery_hash"])
        raise Refused(
            409,
            "code_made",
            _("Your new code was shown already, and still holds. If you did not keep it, make another one."),
        )
    return "-".join(code[at : at + GROUP] for at in range(0, LENGTH, GROUP))


def visitor_of(code: str) -> Visitor | None:
    """Whose code this is, however it was typed; None when it is nobody's."""
    plain = re.sub(r"[\s\-–]", "", code).upper().translate(LOOKS_LIKE)
    if not re.fullmatch(rf"[A-Z2-7]{{{LENGTH}}}", plain):
        return None
    return Visitor.objects.filter(recovery_hash=_hash(plain)).first()


def _hash(code: str) -> str:
    return hashlib.sha256(f"agon.recovery:{code}".encode()).hexdigest()
