import pytest

from ehps.analysis import published
from ehps.errors import UsageError


def test_known_rows_of_the_single_dataset_ranks():
    ranks = published.single_dataset_ranks("smpler_x_s").set_index("train_set")
    assert len(ranks) == 31
    assert ranks.index.is_unique
    assert (ranks.loc["ssp3d", "instances"], ranks.loc["ssp3d", "rank"]) == (311, 32)
    assert (ranks.loc["bedlam", "instances"], ranks.loc["bedlam", "rank"]) == (951066, 1)
    assert published.single_dataset_ranks("hand4whole").set_index("train_set").loc["ssp3d", "rank"] == 30
    assert published.single_dataset_ranks("smpler_x_b").set_index("train_set").loc["insta_variety", "rank"] == 20


def test_inferred_names_stay_marked():
    ranks = published.single_dataset_ranks().set_index("train_set")
    assert ranks.loc["ssp3d", "confirmed"]
    assert not ranks.loc["bedlam", "confirmed"]
    assert "remembered" in ranks.loc["bedlam", "basis"]
    assert ranks["source"].str.len().min() > 0
    confirmed = published.single_dataset_ranks(confirmed_only=True)
    assert set(confirmed["train_set"]) == {"ssp3d", "ochuman", "lspet", "spec", "egobody_ego", "mscoco", "h36m"}


def test_short_names_become_ids():
    assert published.dataset_id("DNA-R.-HiRes") == "renbody_hires"
    assert published.dataset_id("3DPW") == "pw3d"
    assert published.dataset_id("pw3d") == "pw3d"
    assert published.dataset_name("egobody_kinect") == "EgoBody-MVSet"
    with pytest.raises(UsageError):
        published.dataset_id("Nobody")


def test_foundation_models_have_numbers_and_say_where_they_are_from():
    models = published.foundation_models().set_index("model")
    assert models.loc["SMPLer-X-H32", "mpe"] == 63.0
    assert models.loc["SMPLer-X-S5", "instances"] == 750_000
    assert models.loc["SMPLer-X-S5", "read_from_figure"]
    assert not models.loc["SMPLer-X-H32", "read_from_figure"]
    assert models.loc["SMPLest-X-L40", "secondary"]


def test_every_table_loads_and_unknown_ones_are_refused():
    assert len(published.tables()) >= 20
    assert all(len(published.table(name)) for name in published.tables())
    with pytest.raises(UsageError, match="ehf"):
        published.table("nothing")
    with pytest.raises(UsageError, match="smpler_x_b"):
        published.single_dataset_ranks("resnet")
