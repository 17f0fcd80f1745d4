"""Where results, files and cards meet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehps import findings
from ehps.converters import registry
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData, Passport


def saved(path: Path, rows: int = 4, **facts: str) -> Path:
    """A file of neutral bodies that differ a little."""
    rng = np.random.default_rng(len(path.name))
    columns = {
        "image_path": [f"{i}.jpg" for i in range(rows)],
        "bbox_xywh": np.tile([10.0, 10, 50, 100, 1], (rows, 1)),
        "smplx/body_pose": rng.normal(0, 0.2, (rows, 21, 3)),
        "smplx/global_orient": np.zeros((rows, 3)),
        "smplx/betas": np.zeros((rows, 10)),
    }
    passport = Passport(body_model="smplx", body_model_version="1.1", num_betas=10, **facts)
    return HumanData(columns, passport=passport).save(path)


def ranked(*rows: tuple[int | None, str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["rank", "train_set", "datasets"])
    return frame.astype({"rank": "Int64"})


def test_a_dataset_is_selected_whatever_its_training_was_called(tmp_path: Path) -> None:
    files = [saved(tmp_path / "x.h5", dataset="agora"), saved(tmp_path / "y.h5", dataset="bedlam")]
    chosen = findings.selection_of(files, ranked((2, "try 3", "agora"), (1, "bedlam", "bedlam")), 8)
    assert sorted(chosen["dataset"]) == ["agora", "bedlam"]
    assert chosen.attrs["left_out"] == {}


def test_of_several_trainings_on_a_dataset_the_best_counts_and_the_others_are_named(tmp_path: Path) -> None:
    files = [saved(tmp_path / "x.h5", dataset="agora")]
    (row,) = findings.selection_of(files, ranked((3, "few", "agora"), (1, "all", "agora")), 4).to_dict("records")
    assert row["rank"] == 1
    chosen = findings.selection_of(files, ranked((3, "few", "agora"), (1, "all", "agora")), 4)
    assert chosen.attrs["left_out"] == {"few": "another training on agora has a better rank"}


def test_half_of_what_there_is_is_the_budget_where_none_is_given(tmp_path: Path) -> None:
    files = [saved(tmp_path / "x.h5", 6, dataset="agora"), saved(tmp_path / "y.h5", 4, dataset="bedlam")]
    chosen = findings.selection_of(files, ranked((1, "agora", "agora"), (2, "bedlam", "bedlam")))
    assert chosen.attrs["budget"] == 5


def test_files_that_cannot_be_told_apart_or_are_not_ranked_are_refused(tmp_path: Path) -> None:
    one, two = saved(tmp_path / "x.h5", dataset="agora"), saved(tmp_path / "y.h5", dataset="agora")
    with pytest.raises(UsageError, match="a second file of agora"):
        findings.selection_of([one, two], ranked((1, "agora", "agora")))
    with pytest.raises(DataError, match="none of the datasets"):
        findings.selection_of([one], ranked((1, "bedlam", "bedlam")))


def test_only_sets_whose_licence_allows_it_are_taken_commercially(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, *cards = registry.cards()
    free = replace(free, commercial_use=True)
    monkeypatch.setattr(registry, "cards", lambda: [free, *cards])
    bound = next(card for card in cards if card.commercial_use is False)
    open_ = next(card for card in cards if card.commercial_use is None)
    ids = (free.id, bound.id, open_.id, "mine")
    files = [saved(tmp_path / f"{name}.h5", dataset=name) for name in ids]
    places = ranked(*((i + 1, name, name) for i, name in enumerate(reversed(ids))))
    chosen = findings.selection_of(files, places, 8, licence="commercial")
    assert chosen[["dataset", "licence"]].to_numpy().tolist() == [[free.id, free.licence]]
    why = chosen.attrs["left_out"]
    assert "does not allow commercial use" in why[bound.id]
    assert "is not known to allow" in why[open_.id]
    assert "is not known to allow" in why["mine"]
    assert len(findings.selection_of(files, places, 8)) == 4
    with pytest.raises(UsageError, match=f"{bound.id} is to be taken"):
        findings.selection_of(files, places, 8, licence="commercial", must=[bound.id])
    with pytest.raises(DataError, match="no dataset may be used"):
        findings.selection_of(files[1:], places, 8, licence="commercial")


def test_images_that_are_not_there_cost_an_example_and_are_said(tmp_path: Path) -> None:
    file = saved(tmp_path / "x.h5", dataset="agora")
    drawn, faults = findings._examples([file], {file: tmp_path})
    assert len(drawn) + len(faults) == 1
