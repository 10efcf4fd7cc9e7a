"""All detectors over one text, as the columns of an Enrichment. Imported where texts are looked at, and nowhere else."""

from arena.moderation.detectors.fingerprints import fingerprints
from arena.moderation.detectors.language import language
from arena.moderation.detectors.pii import find_pii
from arena.moderation.detectors.style import style


def detect(text: str) -> dict[str, object]:
    said, dress, prints = language(text), style(text), fingerprints(text)
    return {
        "language": said.code,
        "language_name": said.name,
        "language_confidence": said.confidence,
        **dress._asdict(),
        "fingerprint": prints.exact,
        "simhash": prints.simhash,
        "pii": [list(span) for span in find_pii(text)],
    }
