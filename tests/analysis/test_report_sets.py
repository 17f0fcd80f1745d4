"""What the page says of the distances between sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ehps.analysis import report_samples, set_distances
from ehps.analysis.html_report import report
from ehps.analysis.published import dataset_name
from tests.analysis.report_samples import report_inputs


def test_the_nearest_two_sets_are_named_with_their_distance() -> None:
    inputs = report_inputs(("bedlam", "agora", "ubody"))
    section = report_samples.sets(inputs)
    assert section is not None
    assert inputs.samples is not None
    matrix = set_distances.distance_matrix(inputs.samples, "image", "energy", roles=("train", "test"))
    gaps = matrix.to_numpy(float) + np.diag(np.full(len(matrix), np.inf))
    nearest = [str(matrix.index[place]) for place in np.argwhere(gaps == gaps.min())[0]]
    title = section["figure"]["title"]
    assert all(dataset_name(name.removesuffix(" (test)")) in title for name in nearest)
    assert f"{gaps.min():.2g}" in title


def test_distinct_samples_are_those_of_the_largest_number_that_all_sets_have() -> None:
    inputs = report_inputs(("bedlam", "agora"), n=64)
    assert inputs.samples is not None
    frame = set_distances.diversity_table(inputs.samples)
    section = report_samples.sets(inputs)
    assert section is not None
    rows = {row[0].text: row for row in section["distinct"]["table"].rows}
    assert len(rows) == len(inputs.samples.roles)
    for attribute, column in (("image", 1), ("global_orient", 2), ("body_pose", 3)):
        part = frame[(frame["set"] == "agora") & (frame["attribute"] == attribute)].sort_values("n")
        assert rows["AGORA"][column].text == f"{part['vendi'].iloc[-1]:.1f}"
    assert section["distinct"]["n"] == f"{frame['n'].max()}"


def test_the_page_shows_them(tmp_path: Path) -> None:
    page = report(report_inputs(("bedlam", "agora", "ubody")), tmp_path / "page.html").read_text()
    assert 'id="sets"' in page
    assert "Effective number of distinct samples" in page
