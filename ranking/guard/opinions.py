"""Second opinions on a suspected voter: what two published rules say of the same votes. For operators; they flag nobody.

- The paper's Fisher rule (`detectors/fisher.py`; Chatbot Arena, arXiv 2403.04132, section 5.1) at its alpha of .1.
- The e-process of randomised two-sided p-values (`detectors/evalue.py`), as log10 of its peak: 1.3 is a factor of 20.

Why they do not decide: on the published simulation the Fisher rule sees hardly anybody, and the e-process sees less than the
mixture of likelihood ratios that flags (docs/abuse.md has the powers side by side), while each further rule would cost a share of
alpha. What they add is a view that does not know the named ways to vote badly. Shown by tests/ranking/guard/test_suspicions.py.
"""

from typing import TYPE_CHECKING, NamedTuple

from arena.randomness import keyed_int
from ranking.detectors import evalue, fisher
from ranking.detectors.watching import told_enough
from ranking.models import Suspicion

if TYPE_CHECKING:
    from ranking.detectors.watching import Finding, Rules
    from ranking.guard.watch_rows import Seen


class Opinions(NamedTuple):
    """`fisher`: would the paper's rule flag; `e_peak`: log10 of the e-process' highest value. None where nobody is judged."""

    fisher: bool | None = None
    e_peak: float | None = None


def of(seen: "Seen", finding: "Finding", rules: "Rules") -> Opinions:
    """On the votes between models that others have told enough about, in the order in which they were cast."""
    if finding.kind != Suspicion.Kind.VOTER or finding.detector == "cap":
        return Opinions()
    rows = finding.rows
    others = seen.history.without(seen.votes.ballots.take(rows[seen.votes.counted[rows]]))
    rows = rows[told_enough(others, seen.votes.ballots.take(rows), rules)]
    ballots = seen.votes.ballots.take(rows)
    key = keyed_int("suspicion", "draws", bits=256).to_bytes(32, "big")
    draws = evalue.uniforms(key, [str(seen.rows[at].vote_id) for at in rows.tolist()])
    looks = keyed_int("suspicion", "looks", seen.rows[int(finding.rows[0])].judge)
    return Opinions(
        fisher.flags(fisher.p_values(others, ballots), looks),
        evalue.peak(evalue.p_values(others, ballots, draws)),
    )
