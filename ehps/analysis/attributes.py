"""What datasets contain, next to each other: everything that ``ehps analysis attributes`` is made of.

Samples are drawn and described (:mod:`~ehps.analysis.samples`), compared (:mod:`~ehps.analysis.set_distances`),
embedded (:mod:`~ehps.analysis.embedding`) and drawn (:mod:`~ehps.analysis.embedding_figures`,
:mod:`~ehps.analysis.distance_figures`).
"""

from ehps.analysis.coverage import coverage, covered
from ehps.analysis.distance_figures import distance_figure
from ehps.analysis.embedding import Stored, embed
from ehps.analysis.embedding_figures import FEW, figure
from ehps.analysis.samples import ATTRIBUTES, TITLES, USUAL, Samples, Source, collect
from ehps.analysis.set_distances import (
    MEASURES,
    between,
    coverage_curve,
    coverage_table,
    distance_matrix,
    diversity_table,
    explained,
    matrices,
    train_by_test,
)

__all__ = [
    "ATTRIBUTES",
    "FEW",
    "MEASURES",
    "TITLES",
    "USUAL",
    "Samples",
    "Source",
    "Stored",
    "between",
    "collect",
    "coverage",
    "coverage_curve",
    "coverage_table",
    "covered",
    "distance_figure",
    "distance_matrix",
    "diversity_table",
    "embed",
    "explained",
    "figure",
    "matrices",
    "train_by_test",
]
