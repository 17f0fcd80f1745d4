"""What a report shows: everything optional, each part made by the module that its name says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ehps.analysis.attributes import Samples
from ehps.analysis.comparison import Comparison
from ehps.analysis.worst_cases import Case

Image = Path | npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Video:
    """A video on which a model's people are drawn.

    Attributes
    ----------
    said : sentences about it.
    stills : (time in seconds, RGB array) of some frames.
    link : of the video, relative to the page.
    """

    said: Sequence[str]
    stills: Sequence[tuple[float, npt.NDArray[np.uint8]]]
    link: str


@dataclass(frozen=True)
class ReportInputs:
    """What the page shows.

    Attributes
    ----------
    ranked : of ``ranking.rank``; comparison : of ``comparison.compare``.
    results : the tidy results frame, for the table of all numbers and of protocols.
    errors : of instances, for the intervals of the rankings by hands and by face.
    attributes : one row a dataset (``factors.card_attributes``): rank against size and attributes.
    colour_by : attributes that get a figure of rank against size.
    samples : of ``attributes.collect``, for coverage and for what was left out.
    embeddings : attribute -> frame of ``attributes.embed``.
    selection : of ``select.select``.
    conversions : conversion reports, as JSON files or their content.
    training : ``run, step, name, value``, of ``curves.read_curves``.
    overlays : (caption, image): RGB array or image file.
    cases : of ``worst_cases.drawn``: truth beside prediction.
    video : on which a model was run.
    manifests : run -> manifest content.
    notes : sentences shown under the summary (what data this is, what it is not).
    date : shown under the title when given; without it the same inputs give the same bytes.
    """

    title: str = "Which data is worth training on?"
    ranked: pd.DataFrame | None = None
    comparison: Comparison | None = None
    results: pd.DataFrame | None = None
    errors: pd.DataFrame | None = None
    attributes: pd.DataFrame | None = None
    colour_by: Sequence[str] = ("appearance",)
    samples: Samples | None = None
    embeddings: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    selection: pd.DataFrame | None = None
    conversions: Sequence[Mapping[str, Any] | Path] = ()
    training: pd.DataFrame | None = None
    overlays: Sequence[tuple[str, Image]] = ()
    cases: Sequence[Case] = ()
    video: Video | None = None
    manifests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    date: str | None = None
