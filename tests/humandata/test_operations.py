"""Whole files: told, thinned out, merged, cleaned."""

import json

import numpy as np
import pytest

from ehps.errors import DataError, PassportError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.audit import audit
from ehps.humandata.exclusions import exclude, read_exclusions
from ehps.humandata.operations import info, merge, sample


def test_info_tells_every_column_and_is_json(people, tmp_path):
    file = people(9).save(tmp_path / "a.h5")
    told = json.loads(json.dumps(info(HumanData.open(file))))
    assert (told["path"], told["instances"], told["passport"]["num_betas"]) == (str(file), 9, 10)
    by_name = {column["name"]: column for column in told["columns"]}
    assert list(by_name) == list(people().columns)
    pose = by_name["smplx/body_pose"]
    assert (pose["dtype"], pose["shape"], pose["unit"]) == ("float32", [9, 21, 3], "radian")
    assert pose["bytes"] == 9 * 21 * 3 * 4
    assert by_name["keypoints3d_smplx"]["points"] == 4
    assert by_name["meta/gender"]["dtype"] == "text"
    assert by_name["meta/gender"]["bytes"] == 9 * 4 + len("femalemaleneutral") + 4 * 8
    assert told["bytes"] == sum(column["bytes"] for column in told["columns"])


def test_info_of_an_unknown_column_has_no_meaning(people):
    told = info(people(odd=np.zeros(7)))["columns"][-1]
    assert (told["name"], told["unit"], told["meaning"]) == ("odd", "", "")


def test_every_third_row_is_noted_in_the_passport(people, same):
    thin = sample(people(10), interval=3)
    np.testing.assert_array_equal(thin["smplx/betas"], people(10)["smplx/betas"][[0, 3, 6, 9]])
    assert (thin.passport.sampling, thin.misc["sampled"]) == (3, {"interval": 3, "of": 10})
    assert sample(thin, interval=2).passport.sampling == 6


def test_random_rows_are_distinct_in_order_and_the_same_for_a_seed(people, tmp_path):
    hd = people(1000)
    row = np.arange(1000)
    for whole in (hd.with_columns({"row": row}), HumanData.open(hd.with_columns({"row": row}).save(tmp_path / "a.h5"))):
        a, b, c = sample(whole, limit=300, seed=5), sample(whole, limit=300, seed=5), sample(whole, limit=300, seed=6)
        assert (np.diff(a["row"]) > 0).all()
        np.testing.assert_array_equal(a["row"], b["row"])
        assert (a["row"] != c["row"]).any()
        assert abs(a["row"].mean() - 500) < 60
        assert a.misc["sampled"] == {"limit": 300, "seed": 5, "of": 1000}
    assert hd.misc == {"bbox_source": "keypoints2d_smplx"}


@pytest.mark.parametrize("wanted", [{}, {"limit": 1, "interval": 1}, {"limit": 0}, {"limit": 8}, {"interval": 0}])
def test_impossible_samples_are_usage_errors(people, wanted):
    with pytest.raises(UsageError):
        sample(people(7), **wanted)


@pytest.mark.parametrize("ending", ["h5", "npz"])
def test_merged_files_are_the_concatenation(people, same, tmp_path, ending):
    made = [people(5), people(3, seed=1, dataset="other").without(["smplx/transl"])]
    paths = [hd.save(tmp_path / f"{i}.h5") for i, hd in enumerate(made)]
    done = merge(paths, tmp_path / "new" / f"out.{ending}")
    assert (done.instances, done.left_out) == (8, {"smplx/transl": [str(paths[1])]})
    out, whole = HumanData.open(done.out), HumanData.concat(made)
    if ending == "h5":
        same(out, whole)
    assert out["image_path"].tolist() == whole["image_path"].tolist()
    np.testing.assert_allclose(out["smplx/body_pose"], whole["smplx/body_pose"])
    assert out.passport == whole.passport
    assert out.misc["bbox_source"] == "keypoints2d_smplx"
    assert [path.name for path in done.out.parent.iterdir()] == [f"out.{ending}"]


def test_npz_files_merge_as_their_h5_copies_do(people, same, tmp_path):
    made = [people(5), people(3, seed=1, dataset="other")]
    native = [hd.save(tmp_path / f"{i}.h5") for i, hd in enumerate(made)]
    foreign = [hd.save(tmp_path / f"{i}.npz") for i, hd in enumerate(made)]
    reread = [HumanData.open(path) for path in foreign]
    out = HumanData.open(merge(foreign, tmp_path / "out.h5").out)
    same(out, HumanData.concat(reread))
    mixed = HumanData.open(merge([native[0], foreign[1]], tmp_path / "mixed.h5").out)
    assert mixed["image_path"].tolist() == out["image_path"].tolist()
    np.testing.assert_allclose(mixed["smplx/betas"], out["smplx/betas"], rtol=1e-6)
    again = HumanData.open(merge(foreign, tmp_path / "out.npz").out)
    np.testing.assert_allclose(again["smplx/body_pose"], out["smplx/body_pose"])


def neutral(people, n, **columns):
    hd = people(n, seed=9, dataset="other", **columns)
    hd.passport = hd.passport.with_(gender="neutral")
    return hd


@pytest.mark.parametrize("ending", ["h5", "npz"])
def test_merged_rows_keep_the_gender_of_their_body_model(people, tmp_path, ending):
    made = [people(3), neutral(people, 2).without(["meta/gender"])]
    out = HumanData.open(
        merge([hd.save(tmp_path / f"{i}.h5") for i, hd in enumerate(made)], tmp_path / f"o.{ending}").out
    )
    whole = HumanData.concat(made)
    for merged in (out, whole):
        assert merged["meta/gender"].tolist() == ["female", "male", "neutral", "neutral", "neutral"]
        assert merged.passport.gender == "per-instance"


def test_the_persons_gender_is_not_taken_for_that_of_the_neutral_model(people):
    persons = neutral(people, 2, meta__gender=["male", "female"])
    merged = HumanData.concat([people(3).with_columns({"meta/subject_gender": ["a", "b", "c"]}), persons])
    assert merged["meta/gender"].tolist()[3:] == ["neutral", "neutral"]
    assert merged["meta/subject_gender"].tolist()[3:] == ["male", "female"]
    alike = HumanData.concat([persons, persons])
    assert alike.passport.gender == "neutral"
    assert alike["meta/gender"].tolist() == ["male", "female"] * 2


@pytest.mark.parametrize("gender", ["unknown", "per-instance"])
def test_rows_without_a_gender_are_not_merged_with_those_of_another(people, tmp_path, gender):
    hd = people(2, seed=1).without(["meta/gender"])
    hd.passport = hd.passport.with_(gender=gender)
    paths = [people(3).save(tmp_path / "a.h5"), hd.save(tmp_path / "b.h5")]
    with pytest.raises(PassportError, match=rf"b\.h5.*does not say which gender.*{gender}.*meta/gender"):
        merge(paths, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_files_of_other_meaning_are_not_merged(people, tmp_path):
    other = people(3, dataset="other")
    other.passport = other.passport.with_(num_betas=11)
    paths = [people(2).save(tmp_path / "a.h5"), other.save(tmp_path / "b.h5")]
    with pytest.raises(PassportError, match="toy and other differ in num_betas: 10 and 11"):
        merge(paths, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_merge_needs_files_and_a_known_ending(people, tmp_path):
    with pytest.raises(UsageError, match="nothing to merge"):
        merge([], tmp_path / "out.h5")
    with pytest.raises(UsageError, match=r"out\.pkl"):
        merge([people().save(tmp_path / "a.h5")], tmp_path / "out.pkl")


def test_excluded_rows_are_gone_and_counted(people, tmp_path):
    hd = HumanData.open(people(7).with_columns({"row": np.arange(7)}).save(tmp_path / "a.h5"))
    entries = [
        {"dataset": "toy", "id": "toy/0/1.jpg#1", "reason": "row 3"},
        {"dataset": "toy", "id": "toy/0/2.jpg", "reason": "rows 4 and 5"},
        {"dataset": "other", "id": "toy/0/0.jpg", "reason": "of another dataset"},
        {"dataset": "toy", "id": "toy/0/99.jpg#0", "reason": "not in this file"},
    ]
    left = exclude(hd, entries)
    assert left["row"].tolist() == [0, 1, 2, 6]
    assert left.misc["excluded"] == 3
    assert exclude(left, [{"id": "toy/0/0.jpg"}]).misc["excluded"] == 5
    assert exclude(hd, entries, dataset="other")["row"].tolist() == [2, 3, 4, 5, 6]


def test_exclusions_of_a_merged_file_go_by_the_dataset_of_the_row(people):
    hd = people(4, image_path=["a.jpg", "b.jpg", "a.jpg", "b.jpg"], meta__dataset=["x", "x", "y", "y"])
    hd = hd.with_columns({"row": np.arange(4)})
    assert exclude(hd, [{"dataset": "y", "id": "a.jpg"}])["row"].tolist() == [0, 1, 3]


def test_what_an_audit_flags_can_be_excluded(people, tmp_path):
    betas = np.array(people(6)["smplx/betas"])
    betas[2] = 60
    hd = people(6).with_columns({"smplx/betas": betas, "row": np.arange(6)})
    audit(hd, out=tmp_path)
    left = exclude(hd, read_exclusions(tmp_path / "exclude.json"))
    assert 2 not in left["row"]
    assert np.linalg.norm(left["smplx/betas"], axis=1).max() < 60


def test_lists_that_are_none_are_refused(people, tmp_path):
    for text in ('{"id": "a"}', "nonsense"):
        (tmp_path / "list.json").write_text(text)
        with pytest.raises(DataError, match=r"list\.json: (its content is an object, not a list|is no JSON)"):
            read_exclusions(tmp_path / "list.json")
    with pytest.raises(DataError, match="no such file"):
        read_exclusions(tmp_path / "absent.json")
    with pytest.raises(DataError, match="has no id"):
        exclude(people(), [{"dataset": "toy"}])
