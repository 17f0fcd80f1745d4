import csv
from importlib.resources import files

import pytest

from ehps.analysis import published
from ehps.errors import UsageError


def test_known_rows_of_the_single_dataset_ranks():
    ranks = published.single_dataset_ranks("smpler_x_s").set_index("train_set")
    assert len(ranks) == 15
    assert ranks.index.is_unique
    assert (ranks.loc["ssp3d", "instances"], ranks.loc["ssp3d", "rank"]) == (311, 32)
    assert (ranks.loc["mscoco", "instances"], ranks.loc["mscoco", "rank"]) == (149813, 5)
    assert published.single_dataset_ranks("hand4whole").set_index("train_set").loc["ssp3d", "rank"] == 30
    assert published.single_dataset_ranks("smpler_x_b").set_index("train_set").loc["mscoco", "rank"] == 1


def test_inferred_names_are_marked_and_say_from_what():
    ranks = published.single_dataset_ranks().set_index("train_set")
    confirmed = ranks.index[ranks["identification"] == "confirmed"]
    assert set(confirmed) == {"ssp3d", "ochuman", "lspet", "spec", "egobody_ego", "mscoco", "h36m"}
    assert set(ranks["identification"]) == {"confirmed", "inferred"}
    assert ranks["basis"].str.len().min() > 0
    assert ranks["source"].str.len().min() > 0


def test_points_without_a_name_are_counted_and_nothing_is_remembered():
    text = (files("ehps.analysis") / "published" / "single_dataset_ranks.csv").read_text(encoding="utf-8")
    points = list(csv.DictReader(text.splitlines()))
    unnamed = [point for point in points if not point["dataset"]]
    assert published.single_dataset_ranks().attrs["unnamed"] == len(unnamed) == 16
    assert not any(point["identification"] or point["basis"] for point in unnamed)
    assert "remember" not in text


def test_ids_have_the_names_of_papers():
    assert published.dataset_name("egobody_kinect") == "EgoBody-MVSet"
    assert published.dataset_name("my_own_set") == "my_own_set"
    assert set(published.single_dataset_ranks()["train_set"]) <= set(published.dataset_names())


def test_ranks_of_another_model_are_refused():
    with pytest.raises(UsageError, match="smpler_x_b"):
        published.single_dataset_ranks("resnet")
