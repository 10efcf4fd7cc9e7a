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
from scipy.sparse.csgraph import breadth_first_order, connected_components

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


def each_connected(size: int, first: Ints, second: Ints, up: Bools, down: Bools) -> Bools:
    """(P, B) -> (B,) `strongly_connected` for many graphs on the same pairs: sixty-four of them walk in one machine word."""
    count, padding = up.shape[1], -up.shape[1] % 64
    sources, targets = np.concatenate([first, second]), np.concatenate([second, first])
    taken = np.pad(np.concatenate([up, down]), ((0, 0), (0, padding)))
    masks = np.ascontiguousarray(np.packbits(taken, axis=1)).view(np.uint64)
    both = _reached_by_all(size, sources, targets, masks) & _reached_by_all(size, targets, sources, masks)
    return np.unpackbits(both.view(np.uint8))[:count].astype(bool)


def _reached_by_all(size: int, sources: Ints, targets: Ints, masks: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(E, W) graphs that have each edge, as bits -> (W,) graphs in which model 0 reaches every other."""
    order = np.argsort(targets, kind="stable")
    sources, masks = sources[order], masks[order]
    ends, begins = np.unique(targets[order], return_index=True)
    seen = np.zeros((size, masks.shape[1]), np.uint64)
    seen[0] = ~np.uint64(0)
    while True:
        grown = seen.copy()
        grown[ends] |= np.bitwise_or.reduceat(seen[sources] & masks, begins, axis=0)
        if np.array_equal(grown, seen):
            return np.asarray(np.bitwise_and.reduce(seen, axis=0))
        seen = grown


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
