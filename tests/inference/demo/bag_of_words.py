"""A softmax regression over word counts: as simple a reader as there is, to tell manners apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

TOKEN = re.compile(r"[a-z]+'?|[0-9]|[^\sa-z0-9]")


def bag(text: str) -> Counter[str]:
    """Counts of lower-case words and punctuation marks; word order is lost."""
    return Counter(TOKEN.findall(text.lower()))


class BagOfWords:
    """Features are log(1 + count), so that how much is said counts too; words never seen in training are ignored.

    Full-batch gradient descent from zero on cross-entropy with an L2 penalty: convex, so there is nothing to seed.
    """

    def __init__(self, texts: Sequence[str], labels: Sequence[str], penalty: float = 1e-3, steps: int = 500) -> None:
        self.labels = sorted(set(labels))
        words = sorted(set().union(*map(bag, texts)))
        self._column = {word: i for i, word in enumerate(words)}
        x = np.stack([self._features(text) for text in texts])
        target = np.eye(len(self.labels))[[self.labels.index(label) for label in labels]]
        self._weights = np.zeros((x.shape[1], len(self.labels)))
        step = 1.0 / (0.5 * np.linalg.norm(x, 2) ** 2 / len(x) + penalty)  # 1 / the gradient's Lipschitz bound
        for _ in range(steps):
            scores = x @ self._weights
            odds = np.exp(scores - scores.max(axis=1, keepdims=True))
            error = odds / odds.sum(axis=1, keepdims=True) - target
            self._weights -= step * (x.T @ error / len(x) + penalty * self._weights)

    def _features(self, text: str) -> np.ndarray:
        row = np.zeros(len(self._column) + 1)
        row[-1] = 1.0  # the bias
        for word, count in bag(text).items():
            if word in self._column:
                row[self._column[word]] = np.log1p(count)
        return row

    def predict(self, text: str) -> str:
        """The likeliest label."""
        return self.labels[int(np.argmax(self._features(text) @ self._weights))]

    def accuracy(self, texts: Sequence[str], labels: Sequence[str]) -> float:
        """Share of texts whose label is predicted."""
        hits = [self.predict(text) == label for text, label in zip(texts, labels, strict=True)]
        return sum(hits) / len(hits)
