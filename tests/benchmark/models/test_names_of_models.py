"""What models of several trainings are called."""

from __future__ import annotations

from ehps.benchmark.models.labels import label, labels, named


def test_models_of_one_name_have_the_arguments_in_which_they_differ() -> None:
    made = [("tiny", {"width": 32, "depth": 1}), ("tiny", {"width": 64, "depth": 1}), ("gone", {"a": [1, 2]})]
    assert labels(made) == ["tiny[width=32]", "tiny[width=64]", "gone"]
    assert labels([*made, ("tiny", {})]) == ["tiny[depth=1, width=32]", "tiny[depth=1, width=64]", "gone", "tiny"]
    assert labels([*made[:1] * 2, ("gone", {})]) == ["tiny", "tiny", "gone"]


def test_a_variant_is_told_where_it_stands_alone() -> None:
    assert labels([("smpler", {"blocks": 0}), ("smpler_l", {"blocks": 3})]) == ["smpler[blocks=0]", "smpler_l"]


def test_a_label_says_all_that_the_model_was_made_with() -> None:
    assert label("pymaf", {"start": "mesh", "pyramid": False}) == "pymaf[pyramid=false, start=mesh]"
    assert [named(text) for text in ("pymaf[pyramid=false, start=mesh]", "pymaf")] == ["pymaf", "pymaf"]
