"""The published analysis once more, as loops over pandas frames.

For test_benchmark.py, which holds ours against it, and bench_agreement.py, which times both.

Written from the description of the released `statistics/analysis-hq.ipynb`, with the libraries that
notebook uses (pandas, scikit-learn, scipy, krippendorff) and none of our code. Slow on purpose.
"""

from __future__ import annotations

import ast
import warnings
from itertools import combinations

import krippendorff
import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu, spearmanr
from sklearn.metrics import cohen_kappa_score


class OfficialReference:
    """All tables of the published analysis for one ratings file."""

    def __init__(self, path, emotions, *, n_resamples, seed=42):
        self.emotions = list(emotions)
        self.n_resamples = n_resamples
        self.seed = seed
        self.long = self._load(path)
        flags = self.long.groupby("annotator")["human"].first()
        self.humans = sorted(flags.index[flags])
        self.models = sorted(flags.index[~flags])
        self.annotators = self.humans + self.models
        pivot = self.long.pivot_table(
            index=["emotion", "image"], columns="annotator", values="value"
        )
        self.tables = {emotion: pivot.loc[emotion] for emotion in self.emotions}
        self._kappas = {}

    def kappas(self, first, second):
        """Kappas of two annotators, one per emotion; computed when first asked for."""
        pair = frozenset((first, second))
        if pair not in self._kappas:
            a, b = sorted(pair, key=self.annotators.index)
            self._kappas[pair] = [self._kappa(a, b, emotion) for emotion in self.emotions]
        return self._kappas[pair]

    def _load(self, path):
        records = []
        for _, row in pd.read_csv(path).iterrows():
            given = {
                key.split("|")[1]: value
                for key, value in ast.literal_eval(row["annotations"]).items()
                if not key.startswith("Extra Dimensions|")
            }
            if "Hume Face*" in row["annotator"]:
                given = {key: value * 7 for key, value in given.items()}
            for emotion in self.emotions:
                value = given.get(emotion, 0)
                records.append((row["image"], row["annotator"], row["human"], emotion, value))
        return pd.DataFrame(records, columns=["image", "annotator", "human", "emotion", "value"])

    def _kappa(self, first, second, emotion):
        both = self.tables[emotion][[first, second]].dropna()
        if len(both) < 2:
            return np.nan
        a, b = both[first].astype(int), both[second].astype(int)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return cohen_kappa_score(a, b, labels=list(range(8)), weights="quadratic")
            except ValueError:  # no value of the first is one of the labels
                return np.nan

    def _with_humans(self, annotator):
        """Rows of kappas, one per human other than the annotator."""
        return [self.kappas(annotator, h) for h in self.humans if h != annotator]

    def agreement(self, annotator):
        rows = self._with_humans(annotator)
        values = []
        for column in zip(*rows, strict=True):
            defined = [value for value in column if not np.isnan(value)]
            values.append(np.mean(defined) if defined else np.nan)
        return pd.Series(values, index=self.emotions)

    def pairwise(self, first, second):
        values = pd.Series(self.kappas(first, second))
        return values.mean(), values.count()

    def difference(self, first, second):
        """(mean difference, low, high, u, p) of two lists of kappas."""
        first = np.array([v for v in first if not np.isnan(v)])
        second = np.array([v for v in second if not np.isnan(v)])
        generator = np.random.default_rng(self.seed)
        means = [
            np.array([generator.choice(side, len(side)).mean() for _ in range(self.n_resamples)])
            for side in (first, second)
        ]
        low, high = np.percentile(means[0] - means[1], [2.5, 97.5])
        # Rounded, since equal kappas of scikit-learn may differ in the last digit: no ties then.
        test = mannwhitneyu(first.round(12), second.round(12), alternative="two-sided")
        return first.mean() - second.mean(), low, high, test.statistic, test.pvalue

    def group_difference(self, first, second):
        values = [
            [value for annotator in group for value in self.agreement(annotator)]
            for group in (first, second)
        ]
        return self.difference(*values)

    def could_be_annotator(self, annotator):
        own = [value for row in self._with_humans(annotator) for value in row]
        others = [
            value
            for a, b in combinations(self.humans, 2)
            if annotator not in (a, b)
            for value in self.kappas(a, b)
        ]
        found = self.difference(own, others)
        return (*found, found[-1] > 0.05)

    def alpha(self):
        """Emotion -> (alpha, low, high); one generator for all emotions."""
        generator = np.random.default_rng(self.seed)
        found = {}
        for emotion in self.emotions:
            table = self.tables[emotion][self.humans]
            table = table.loc[:, table.count() > 1].dropna(how="all")
            matrix = table.to_numpy().T
            samples = []
            for _ in range(self.n_resamples):
                drawn = generator.choice(matrix.shape[1], matrix.shape[1])
                samples.append(_alpha(matrix[:, drawn]))
            found[emotion] = (_alpha(matrix), *np.nanpercentile(samples, [2.5, 97.5]))
        return found

    def spearman(self, aggregate):
        """Model -> (rho per emotion, mean, low, high); one generator for all models."""
        generator = np.random.default_rng(self.seed)
        found = {}
        for model in self.models:
            rhos = {}
            for emotion in self.emotions:
                table = self.tables[emotion]
                values = table[model].dropna()
                humans = getattr(table.loc[values.index, self.humans], aggregate)(axis=1)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    rhos[emotion] = spearmanr(values, humans).statistic
            defined = np.array([rho for rho in rhos.values() if not np.isnan(rho)])
            if not len(defined):
                found[model] = rhos, np.nan, np.nan, np.nan
                continue
            means = [
                generator.choice(defined, len(defined)).mean() for _ in range(self.n_resamples)
            ]
            found[model] = rhos, defined.mean(), *np.percentile(means, [2.5, 97.5])
        return found


def _alpha(matrix):
    try:
        return krippendorff.alpha(matrix, level_of_measurement="interval")
    except (ValueError, ZeroDivisionError):  # one value only
        return np.nan
