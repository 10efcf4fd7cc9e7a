"""A multinomial naive Bayes over words and punctuation: as simple a reader as there is, to tell manners apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

TOKEN = re.compile(r"[a-z]+'?|[0-9]|[^\sa-z0-9]")


def bag(text: str) -> Counter[str]:
    """Counts of lower-case words and punctuation marks; word order is lost."""
    return Counter(TOKEN.findall(text.lower()))


class NaiveBayes:
    """Add-one smoothed; words never seen in training are ignored."""

    def __init__(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        self.labels = sorted(set(labels))
        bags = [bag(text) for text in texts]
        self.vocabulary = {word: i for i, word in enumerate(sorted(set().union(*bags)))}
        counts = np.ones((len(self.labels), len(self.vocabulary)))
        for found, label in zip(bags, labels, strict=True):
            counts[self.labels.index(label)] += self._vector(found)
        self._log_words = np.log(counts / counts.sum(axis=1, keepdims=True))
        shares = [list(labels).count(label) / len(labels) for label in self.labels]
        self._log_priors = np.log(shares)

    def _vector(self, found: Counter[str]) -> np.ndarray:
        vector = np.zeros(len(self.vocabulary))
        for word, count in found.items():
            if word in self.vocabulary:
                vector[self.vocabulary[word]] = count
        return vector

    def predict(self, text: str) -> str:
        """The likeliest label."""
        return self.labels[int(np.argmax(self._log_priors + self._log_words @ self._vector(bag(text))))]

    def accuracy(self, texts: Sequence[str], labels: Sequence[str]) -> float:
        """Share of texts whose label is predicted."""
        hits = [self.predict(text) == label for text, label in zip(texts, labels, strict=True)]
        return sum(hits) / len(hits)
