"""Does a finite Bradley-Terry estimate exist, and for whom? Pure numpy and scipy, no Django.

Existence (Ford 1957): the estimate is finite and unique if and only if the graph with an edge i -> j wherever i took
points from j is strongly connected. `ranked_group` finds the largest such group; a model outside it never met the
group, or took every point from it, or none. Its own estimate is then infinite or meaningless, while the estimate inside the
group is exactly the limit of the whole likelihood, so the group is what gets fitted and the others are labelled.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from ranking.estimators.tally import Bools, Ints, Pairs


class Standing(StrEnum):
    """Why a model has a rating, or why it cannot have one yet."""

    RANKED = "ranked"
    UNBEATEN = "unbeaten"
    WINLESS = "winless"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class Group:
    """`members`: sorted positions of the models that can be fitted together; `standing`: one label per model."""

    members: Ints
    standing: tuple[Standing, ...]


def ranked_group(pairs: Pairs) -> Group:
    """The largest strongly connected group of models (then: with most battles, then: first), and everybody's label."""
    edges = _edges(pairs.size, pairs.first, pairs.second, pairs.points > 0, pairs.points_against > 0)
    if not pairs.size:
        return Group(np.empty(0, np.int64), ())
    count, component = connected_components(edges, connection="strong")
    sizes = np.bincount(component, minlength=count)
    both_ends = np.concatenate([component[pairs.first], component[pairs.second]])
    played = np.bincount(both_ends, weights=np.tile(pairs.battles, 2), minlength=count)
    earliest = np.full(count, pairs.size)
    np.minimum.at(earliest, component, np.arange(pairs.size))
    best = np.lexsort((earliest, -played, -sizes))[0]
    members = np.flatnonzero(component == best) if sizes[best] > 1 else np.empty(0, np.int64)
    return Group(members, _standings(edges, members))


def connected(pairs: Pairs) -> bool:
    """Does a finite estimate of all models exist?"""
    return strongly_connected(pairs.size, pairs.first, pairs.second, pairs.points > 0, pairs.points_against > 0)


def strongly_connected(size: int, first: Ints, second: Ints, up: Bools, down: Bools) -> bool:
    """`up`, `down`: (P,) did `first` take points from `second`, and the other way round?"""
    edges = _edges(size, first, second, up, down)
    return bool(connected_components(edges, connection="strong", return_labels=False) == 1)


def spanning_pairs(pairs: Pairs) -> Ints | None:
    """K - 1 pairs that join all models, chosen so that the rarest outcome among them is as common as can be, or None.

    While both models of each of them still take points from the other, a resample is strongly connected: a cheap
    certificate that spares dense boards the search of every resample.
    """
    rarest = np.minimum(pairs.points, pairs.points_against)
    mutual = np.flatnonzero(rarest > 0)
    entry = (1.0 / rarest[mutual], (pairs.first[mutual], pairs.second[mutual]))
    tree = minimum_spanning_tree(coo_array(entry, shape=(pairs.size, pairs.size)).tocsr()).tocoo()
    if tree.nnz != pairs.size - 1:
        return None
    keys, wanted = pairs.first * pairs.size + pairs.second, tree.row.astype(np.int64) * pairs.size + tree.col
    return np.flatnonzero(np.isin(keys, wanted))


def _edges(size: int, first: Ints, second: Ints, up: Bools, down: Bools) -> csr_array:
    """(K, K) adjacency: who took points from whom."""
    rows = np.concatenate([first[up], second[down]])
    columns = np.concatenate([second[up], first[down]])
    return coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size)).tocsr()


def _standings(edges: csr_array, members: Ints) -> tuple[Standing, ...]:
    """Above the group = a path of wins leads into it; below = a path of wins leads out of it; never both."""
    size = edges.shape[0]
    if not len(members):
        return (Standing.DISCONNECTED,) * size
    below, above = _reached(edges, int(members[0])), _reached(edges.T.tocsr(), int(members[0]))
    names = {
        (True, True): Standing.RANKED,
        (True, False): Standing.UNBEATEN,
        (False, True): Standing.WINLESS,
        (False, False): Standing.DISCONNECTED,
    }
    return tuple(names[over, under] for over, under in zip(above.tolist(), below.tolist(), strict=True))


def _reached(edges: csr_array, start: int) -> NDArray[np.bool_]:
    seen = np.zeros(edges.shape[0], dtype=bool)
    seen[breadth_first_order(edges, start, return_predecessors=False)] = True
    return seen
