import numpy as np
import pandas as pd
import pytest

from ehps.analysis import published
from ehps.analysis.benchmarks import MPE_BENCHMARKS, benchmarks_in
from ehps.analysis.comparison import compare
from ehps.analysis.ranking import rank
from ehps.analysis.ranking_table import interval_note, legend, presentable
from ehps.errors import DataError, UsageError

VALUES = {
    "bedlam": {"agora": 100.0, "ubody": 90.0, "egobody_ego": 80.0, "pw3d": 70.0, "ehf": 60.0},
    "mscoco": {"agora": 130.0, "ubody": 70.0, "egobody_ego": 90.0, "pw3d": 90.0, "ehf": 80.0},
    "h36m": {"agora": 180.0, "ubody": 140.0, "egobody_ego": 120.0, "pw3d": 110.0, "ehf": 150.0},
}


def results(values=VALUES, model="tiny"):
    rows = []
    for train_set, cells in values.items():
        for test_set, value in cells.items():
            metric, part = ("MPJPE", "body") if test_set == "pw3d" else ("PVE", "all")
            rows.append((train_set, test_set, model, f"{test_set}-v1", part, metric, value, 100))
            rows.append((train_set, test_set, model, f"{test_set}-v1", part, f"PA-{metric}", value / 2, 100))
            rows.append((train_set, test_set, model, f"{test_set}-v1", "hand", metric, 1.0, 100))
    return pd.DataFrame(rows, columns=["train_set", "test_set", "model", "protocol", "part", "metric", "value", "n"])


def errors_of(frame, sequences=12, each=5, spread=20.0, seed=1):
    """Per-instance errors whose mean is each cell's value; sequences differ far more than frames within them."""
    rng = np.random.default_rng(seed)
    parts = []
    shift = {t: rng.normal(0, spread, sequences) for t in sorted(set(frame["test_set"]))}
    for row in frame.itertuples():
        e = np.repeat(shift[row.test_set], each) + rng.normal(0, 1, sequences * each)
        parts.append(
            pd.DataFrame(
                {
                    "train_set": row.train_set,
                    "test_set": row.test_set,
                    "instance": np.arange(sequences * each),
                    "sequence": np.repeat([f"s{i}" for i in range(sequences)], each),
                    "metric": row.metric,
                    "part": row.part,
                    "value": row.value + e - e.mean(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_mpe_is_the_plain_mean_of_the_five_primary_errors():
    ranked = rank(results())
    assert ranked["train_set"].tolist() == ["bedlam", "mscoco", "h36m"]
    assert ranked["rank"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(ranked["mpe"], [80.0, 92.0, 140.0])
    assert ranked.loc[1, "ubody"] == 70.0
    assert ranked["missing"].tolist() == ["", "", ""]


def test_a_missing_cell_leaves_mpe_and_rank_absent():
    cells = results()
    cells = cells[~((cells["train_set"] == "bedlam") & (cells["test_set"] == "ehf"))]
    cells.loc[(cells["train_set"] == "h36m") & (cells["test_set"] == "ubody"), "value"] = np.nan
    ranked = rank(cells).set_index("train_set")
    assert ranked.loc["bedlam", "missing"] == "EHF"
    assert ranked.loc["h36m", "missing"] == "UBody"
    assert np.isnan(ranked.loc["bedlam", "mpe"])
    assert pd.isna(ranked.loc["bedlam", "rank"])
    assert ranked["rank"].dropna().tolist() == [1]
    said = legend(rank(cells))
    assert said == ["no rank: BEDLAM, without EHF", "no rank: Human3.6M, without UBody"]
    assert legend(rank(cells[cells["test_set"] != "pw3d"])) == []


def test_protocols_are_not_mixed():
    cells = results()
    cells.loc[(cells["train_set"] == "mscoco") & (cells["test_set"] == "pw3d"), "protocol"] = "pw3d-h36m"
    with pytest.raises(DataError) as caught:
        rank(cells)
    for word in ("3DPW", "pw3d-v1", "pw3d-h36m", "mscoco"):
        assert word in str(caught.value)


def test_two_protocols_of_another_metric_do_not_matter():
    cells = results()
    cells.loc[(cells["metric"] == "PA-PVE") & (cells["train_set"] == "h36m"), "protocol"] = "other"
    assert rank(cells)["mpe"].notna().all()


def test_two_values_for_one_cell_are_refused_unless_they_are_seeds():
    twice = pd.concat([results(), results().assign(value=lambda f: f["value"] + 10)], ignore_index=True)
    with pytest.raises(DataError, match="more than one AGORA PVE"):
        rank(twice)
    twice["seed"] = np.repeat([0, 1], len(twice) // 2)
    np.testing.assert_allclose(rank(twice)["mpe"], [85.0, 97.0, 145.0])


def test_models_are_ranked_apart():
    both = pd.concat([results(), results(VALUES, "small")], ignore_index=True)
    ranked = rank(both)
    assert ranked["rank"].tolist() == [1, 2, 3, 1, 2, 3]


def test_intervals_hold_the_mean_and_repeat_exactly():
    cells = results()
    first, again = (rank(cells, errors_of(cells), bootstrap=300, seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert ((first["mpe_low"] < first["mpe"]) & (first["mpe"] < first["mpe_high"])).all()
    assert ((first["rank_low"] <= first["rank"]) & (first["rank"] <= first["rank_high"])).all()
    other = rank(cells, errors_of(cells), bootstrap=300, seed=8)
    assert first["mpe_low"].equals(other["mpe_low"])  # only the intervals of ranks are drawn


def test_the_interval_is_that_of_whole_sequences():
    cells = results()
    errors = errors_of(cells, sequences=40, each=10)
    ranked = rank(cells, errors, bootstrap=4000)
    width = float(ranked["mpe_high"].iloc[0] - ranked["mpe_low"].iloc[0])
    main = errors[
        (errors["train_set"] == "bedlam") & errors["metric"].isin(["PVE", "MPJPE"]) & (errors["part"] != "hand")
    ]
    means = main.groupby(["test_set", "sequence"])["value"].mean()
    analytic = 2 * 1.96 * np.sqrt((means.groupby("test_set").var(ddof=0) / 40).sum()) / 5
    assert width == pytest.approx(analytic, rel=0.08)
    by_frame = rank(cells, errors.assign(sequence=errors["sequence"] + errors["instance"].astype(str)), bootstrap=1000)
    assert float(by_frame["mpe_high"].iloc[0] - by_frame["mpe_low"].iloc[0]) < width / 2


def test_close_sets_share_ranks_because_the_draws_are_paired():
    close = {k: {t: v + (0.5 if k == "mscoco" else 0) for t, v in VALUES["bedlam"].items()} for k in VALUES}
    ranked = rank(results(close), errors_of(results(close), spread=30), bootstrap=500).set_index("train_set")
    assert ranked.loc["mscoco", "mpe_low"] < ranked.loc["bedlam", "mpe"]
    assert ranked.loc["bedlam", "rank_low"] == 1
    far = rank(results(), errors_of(results(), spread=60), bootstrap=500).set_index("train_set")
    assert far.loc["mscoco", "mpe_low"] < far.loc["bedlam", "mpe_high"]
    assert far["rank_low"].tolist() == far["rank_high"].tolist() == [1, 2, 3]


def test_a_single_sequence_is_cut_into_blocks():
    cells = results()
    errors = errors_of(cells)
    errors.loc[errors["test_set"] == "ehf", "sequence"] = "all"
    ranked = rank(cells, errors, bootstrap=50)
    assert ranked.attrs["clustered_by"]["ehf"] == "block"
    assert ranked.attrs["clusters"]["ehf"] == 10
    assert ranked.attrs["clustered_by"]["ubody"] == "sequence"
    assert "is one video: how another video would differ" in interval_note(ranked)


def test_persons_of_one_image_are_one_cluster():
    cells = results()
    errors = errors_of(cells, sequences=20, each=5)
    errors["image_path"], errors["sequence"] = errors["sequence"], "all"
    ranked = rank(cells, errors, bootstrap=400)
    assert ranked.attrs["clustered_by"] == {"agora": "image"} | dict.fromkeys(
        ("ubody", "egobody_ego", "pw3d", "ehf"), "block"
    )
    assert ranked.attrs["clusters"] == {"agora": 20, "ubody": 5, "egobody_ego": 5, "pw3d": 5, "ehf": 5}
    assert ranked["clusters"][0] == "AGORA 20, UBody 5, EgoBody 5, 3DPW 5, EHF 5"


def seeds_of(offsets):
    """Results and errors of trainings whose numbers differ by ``offsets`` on every benchmark."""
    cells = [results().assign(value=lambda f, by=by: f["value"] + by, seed=i) for i, by in enumerate(offsets)]
    errors = [errors_of(cells[i], spread=0.1).assign(seed=i) for i in range(len(offsets))]
    return pd.concat(cells, ignore_index=True), pd.concat(errors, ignore_index=True)


def test_the_spread_of_seeds_is_in_the_interval():
    offsets = np.random.default_rng(3).normal(0, 4, 12)
    ranked = rank(*seeds_of(offsets), bootstrap=2000)
    np.testing.assert_allclose(ranked["mpe"], np.array([80, 92, 140]) + offsets.mean())
    width = float(ranked["mpe_high"].iloc[0] - ranked["mpe_low"].iloc[0])
    assert width == pytest.approx(2 * 2.201 * offsets.std(ddof=1) / np.sqrt(12), rel=0.02)  # t of 11 degrees
    assert ranked.attrs["trainings"] == [12, 12]
    assert "The spread of trainings with other seeds is in them (12 trainings a set)." in interval_note(ranked)
    assert "MPE 95 % (test data, seeds)" in presentable(ranked)


def test_it_is_said_what_an_interval_does_not_hold():
    cells = results()
    note = interval_note(rank(cells, errors_of(cells, sequences=4), bootstrap=50))
    assert "clusters of the test data: sequences (AGORA 4, UBody 4" in note
    assert "another training would differ is not in them, with one training a set" in note
    assert interval_note(rank(cells)) == ""


def test_hands_and_face_are_ranked_by_their_own_errors():
    cells = results()
    cells.loc[(cells["part"] == "hand") & (cells["train_set"] == "h36m"), "value"] = 0.5
    ranked = rank(cells, part="hands")
    assert ranked["train_set"].tolist()[0] == "h36m"
    assert list(ranked.columns[3:8]) == ["agora", "ubody", "egobody_ego", "ehf", "mpe"]  # 3DPW has no hands
    shown = presentable(ranked)
    assert {"AGORA PVE hand", "MPE hands"} <= set(shown)
    assert rank(cells, part="face")["mpe"].isna().all()
    with pytest.raises(UsageError, match="feet"):
        rank(cells, part="feet")


def test_errors_of_other_runs_are_refused():
    cells = results()
    errors = errors_of(cells).assign(value=lambda f: f["value"] / 1000)
    with pytest.raises(DataError, match="average"):
        rank(cells, errors, bootstrap=10)


def test_sets_without_errors_have_ranks_but_no_interval():
    cells = results()
    errors = errors_of(cells)
    ranked = rank(cells, errors[errors["train_set"] != "mscoco"], bootstrap=50).set_index("train_set")
    assert np.isnan(ranked.loc["mscoco", "mpe_low"])
    assert pd.isna(ranked.loc["mscoco", "rank_low"])
    assert ranked.loc["h36m", "rank_low"] == 3


def test_other_test_sets_can_be_ranked_too():
    cells = results({"a": {"arctic": 10.0, "ehf": 20.0}, "b": {"arctic": 30.0, "ehf": 10.0}})
    found = benchmarks_in(cells)
    assert [b.id for b in found] == ["ehf", "arctic"]
    assert rank(cells)["mpe"].isna().all()
    np.testing.assert_allclose(rank(cells, benchmarks=found)["mpe"], [15.0, 20.0])
    assert benchmarks_in(results()) == MPE_BENCHMARKS


def test_a_frame_without_the_columns_is_refused_by_name():
    with pytest.raises(DataError, match="protocol"):
        rank(results().drop(columns="protocol"))


def test_comparison_with_the_published_ranks():
    theirs = published.single_dataset_ranks("smpler_x_s")
    mine = dict(zip(("mscoco", "pw3d", "ssp3d", "bedlam"), [*VALUES.values(), VALUES["h36m"]], strict=True))
    comparison = compare(rank(results(mine)), theirs)
    assert comparison.frame["train_set"].tolist() == ["mscoco", "pw3d", "ssp3d"]  # bedlam has no published rank
    assert comparison.frame["published_rank"].tolist() == [5, 23, 32]
    assert comparison.frame["identification"].tolist() == ["confirmed", "inferred", "confirmed"]
    assert comparison.frame["published_rank_shared"].tolist() == [1, 2, 3]
    assert comparison.sentence().endswith("The published names of 1 of them are inferred.")
    assert comparison.spearman.value == pytest.approx(1)
    assert comparison.kendall.value == pytest.approx(1)
    two_models = pd.concat([results(), results(VALUES, "small")], ignore_index=True)
    with pytest.raises(UsageError):
        compare(rank(two_models), theirs)


def test_sets_are_compared_by_their_dataset_whatever_they_are_called():
    theirs = published.single_dataset_ranks("smpler_x_s")
    mine = results(dict(zip(("all of it", "pw3d", "a fifth"), VALUES.values(), strict=True)))
    mine["datasets"] = mine["train_set"].replace({"all of it": "mscoco", "a fifth": "mscoco"})
    frame = compare(rank(mine), theirs).frame
    assert list(zip(frame["train_set"], frame["rank"], strict=True)) == [("mscoco", 1), ("pw3d", 2)]


def test_presentable_names_and_intervals():
    shown = presentable(rank(results(), errors_of(results()), bootstrap=50))
    assert list(shown)[:4] == ["Rank", "Training set", "AGORA PVE", "UBody PVE"]
    assert shown["Training set"].tolist() == ["BEDLAM", "MSCOCO", "Human3.6M"]
    assert " – " in shown["MPE 95 % (test data)"].iloc[0]
    assert "3DPW MPJPE" in shown
    assert "MPE" not in presentable(published.single_dataset_ranks())


def test_errors_under_another_protocol_do_not_enter():
    cells = results()
    errors = errors_of(cells)
    errors["protocol"] = errors["test_set"] + "-v1"
    other = errors.assign(protocol="other", value=errors["value"] + 50)
    mixed = rank(cells, pd.concat([errors, other], ignore_index=True), bootstrap=50)
    pd.testing.assert_frame_equal(mixed, rank(cells, errors, bootstrap=50))
