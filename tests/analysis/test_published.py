import csv
import re
from importlib.resources import files
from pathlib import Path

import pytest

from ehps.analysis import published
from ehps.converters import registry
from ehps.errors import UsageError

DOCS = Path(__file__).parents[2] / "docs"


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
    facts = published.single_dataset_ranks().attrs
    assert facts["unnamed"] == len(facts["unnamed_points"]) == len(unnamed) == 16
    assert facts["unnamed_points"][0] == (1, 951066)
    assert facts["without_point"] == [4]
    assert not any(point["identification"] or point["basis"] for point in unnamed)
    assert "remember" not in text


def test_ids_have_the_names_of_papers():
    assert published.dataset_name("egobody_kinect") == "EgoBody-MVSet"
    assert published.dataset_name("my_own_set") == "my_own_set"
    others = {card.id: card.name for card in registry.cards() if card.id not in published.dataset_names()}
    assert others == published.OTHER_NAMES
    assert all(published.dataset_name(dataset) == name for dataset, name in others.items())
    assert set(published.single_dataset_ranks()["train_set"]) <= set(published.dataset_names())


def test_ranks_of_another_model_are_refused():
    with pytest.raises(UsageError, match="smpler_x_b"):
        published.single_dataset_ranks("resnet")


def test_a_dataset_has_one_count_everywhere():
    """In the published ranking, on its card, and on the card's page."""
    ranks = published.single_dataset_ranks()
    for dataset, instances in zip(ranks["train_set"], ranks["instances"], strict=True):
        card = registry.card(dataset)
        assert card.splits[card.default_split] == instances, dataset
        page = (DOCS / "datasets" / f"{dataset}.md").read_text(encoding="utf-8")
        assert f"| {card.default_split} | {instances:,}" in page


def test_a_number_that_only_an_unnamed_point_has_is_uncertain():
    """What documents state for PoseTrack is also the number of two points."""
    unnamed = {instances for _, instances in published.single_dataset_ranks().attrs["unnamed_points"]}
    counted = {"posetrack"}
    for card in registry.cards():
        if card.splits[card.default_split] in unnamed and card.id not in counted:
            assert card.default_split in card.uncertain, card.id
    assert registry.card("agora").uncertain == ("train",)  # its number is that of no point
    assert 198_639 not in {n for card in registry.cards() for n in card.splits.values()}


def test_numbers_of_instances_in_the_docs_are_those_of_the_cards():
    shown = re.findall(r"^ +\d+  (\S+)(?: \*)? +([\d,]{5,}) ", (DOCS / "analysis.md").read_text("utf-8"), re.MULTILINE)
    ids = published.dataset_names()
    named = [(name, int(number.replace(",", ""))) for name, number in shown if name in ids]
    assert len(named) >= 3
    assert all(registry.card(dataset).splits["train"] == number for dataset, number in named)
