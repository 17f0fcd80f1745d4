import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.analysis import features, nearest
from ehps.analysis.attributes import (
    MEASURES,
    Source,
    Stored,
    between,
    collect,
    coverage_curve,
    coverage_table,
    distance_figure,
    distance_matrix,
    diversity_table,
    embed,
    explained,
    figure,
    matrices,
)
from ehps.analysis.samples import IMAGE_FEATURES
from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.image_files import OutsideError
from ehps.humandata.passport import Passport


def people(name, n=80, *, turn=0.0, seed=0, model_type="smplx", gender="neutral", paths=None):
    """Persons whose global orientation scatters about a turn round the vertical axis."""
    rng = np.random.default_rng(seed)
    orient = (Rotation.from_rotvec([0, turn, 0]) * Rotation.from_rotvec(rng.normal(0, 0.2, (n, 3)))).as_rotvec()
    columns = {
        "image_path": paths or [f"{i}.png" for i in range(n)],
        "bbox_xywh": np.tile(np.array([10, 10, 40, 60, 1], np.float32), (n, 1)),
        f"{model_type}/global_orient": orient.astype(np.float32),
        f"{model_type}/body_pose": rng.normal(0, 0.3, (n, 21 if model_type == "smplx" else 23, 3)).astype(np.float32),
        f"{model_type}/betas": rng.normal(0, 1, (n, 10)).astype(np.float32),
    }
    return HumanData(columns, passport=Passport(body_model=model_type, dataset=name, gender=gender))


def test_distances_of_rotations_are_chords_of_their_angles():
    vectors = np.random.default_rng(0).normal(0, 1, (2, 2, 3))
    got = features.rotation_features(vectors)
    turns = Rotation.from_rotvec(vectors[0]).inv() * Rotation.from_rotvec(vectors[1])
    expected = np.sqrt(np.mean((2 * np.sin(turns.magnitude() / 2)) ** 2))
    assert np.linalg.norm(got[0] - got[1]) == pytest.approx(expected)
    around = features.rotation_features(np.array([[0, np.pi - 1e-6, 0], [0, -np.pi + 1e-6, 0]]))
    np.testing.assert_allclose(around[0], around[1], atol=1e-5)


def test_different_orientations_are_farther_apart_than_equal_ones():
    samples = collect(
        [
            people("front", seed=1),
            people("again", seed=2),
            people("side", turn=1.5, seed=3),
            Source(people("t", seed=4), "test"),
        ],
        attributes=["global_orient"],
    )
    for measure in MEASURES:
        matrix = distance_matrix(samples, "global_orient", measure)
        less = 1.5 if measure == "classifier" else 3
        assert matrix.loc["front", "side"] > less * matrix.loc["front", "again"]
        assert matrix.loc["front", "side"] == matrix.loc["side", "front"]
    table = coverage_table(samples).set_index("train_set")
    assert table.loc["front", "coverage"] > 0.9
    assert table.loc["side", "coverage"] == 0
    assert table.loc["side", "energy"] > 3 * table.loc["front", "energy"]
    assert table.loc["side", "mmd_p"] < 0.01 < table.loc["front", "mmd_p"]
    assert table.loc["side", "test_set"] == "t"
    assert set(table["n"]) == {80}
    assert set(table["k"]) == {5}
    assert table["bandwidth"].nunique() == 1


def test_tables_say_what_their_numbers_are_and_repeat():
    samples = collect(
        [people("a", 60, seed=1), people("b", 60, turn=1, seed=2), Source(people("t", 30, seed=3), "test")],
        attributes=["global_orient", "betas"],
    )
    for make in (coverage_table, between, diversity_table, coverage_curve):
        table = make(samples)
        assert len(table)
        assert table.equals(make(samples)), make.__name__
    table = coverage_table(samples)
    said = " ".join(explained(table))
    assert "n = 30 and k = 3" in said
    assert "in rad" in said
    same = table[(table["energy"] == 0)]
    assert len(same)
    assert all("energy" in marks for marks in same["at_zero"])
    assert (diversity_table(samples)["vendi"] >= 1).all()
    with pytest.raises(UsageError, match=r"k = 4 .*n = 30"):
        coverage_table(samples, k=4)


def test_sets_with_few_samples_have_distances_but_no_coverage():
    samples = collect(
        [people("a"), people("few", 5, seed=1), Source(people("t", 40, seed=2), "test")], attributes=["betas"]
    )
    table = coverage_table(samples).set_index("train_set")
    assert np.isnan(table.loc["few", "coverage"])
    assert np.isfinite(table.loc[["a", "few"], "energy"]).all()
    assert table.loc["a", "n"] == 40
    assert table.attrs["left_out"] == {("few", "betas"): "5 samples are too few for coverage"}


def test_samples_are_drawn_alike_whatever_else_is_there():
    alone = collect([people("a", 200)], limit=50, attributes=["betas"])
    with_b = collect([people("b", 200, seed=9), people("a", 200)], limit=50, attributes=["betas"])
    assert len(alone.values["betas"]["a"]) == 50
    np.testing.assert_array_equal(alone.values["betas"]["a"], with_b.values["betas"]["a"])


def test_shapes_of_different_body_models_are_not_compared():
    sources = [people("a"), people("b"), people("c", model_type="smpl")]
    samples = collect(sources, attributes=["betas", "body_rotations"])
    assert set(samples.values["betas"]) == {"a", "b"}
    assert set(samples.values["body_rotations"]) == {"a", "b", "c"}
    assert samples.left_out["dataset"].tolist() == ["c"]
    assert "smpl unknown" in samples.left_out["reason"].iloc[0]


def test_what_is_not_there_is_named():
    no_body = HumanData({"image_path": ["a.png"], "bbox_xywh": np.ones((1, 5), np.float32)})
    samples = collect([Source(no_body, name="plain"), people("a")], attributes=["image", "global_orient"])
    reasons = samples.left_out.set_index(["dataset", "attribute"])["reason"]
    assert reasons["plain", "global_orient"] == "no body parameters"
    assert "image folder" in reasons["a", "image"]
    with pytest.raises(UsageError, match="image"):
        samples.comparable("image")


def test_two_sources_of_one_name_are_refused_but_splits_are_not():
    collect([people("a"), Source(people("a"), "test")], attributes=["betas"])
    with pytest.raises(UsageError, match="'a'"):
        collect([people("a"), people("a")], attributes=["betas"])


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(12):
        image = np.zeros((90, 120, 3), np.uint8)
        image[:, :, 0 if i < 6 else 2] = 200  # OpenCV writes BGR: blue, then red
        cv2.imwrite(str(tmp_path / f"{i}.png"), image + rng.integers(0, 20, image.shape).astype(np.uint8))
    return tmp_path


def test_image_features_tell_blue_from_red(images):
    blue = people("blue", 6, paths=[f"{i}.png" for i in range(6)])
    red = people("red", 7, paths=[f"{i}.png" for i in range(6, 12)] + ["absent.png"])
    samples = collect([Source(blue, images=images), Source(red, images=images)], attributes=["image"])
    assert {name: len(rows) for name, rows in samples.values["image"].items()} == {"blue": 6, "red": 6}
    values = samples.comparable("image")
    within = nearest.nearest_distance(values["blue"][:3], values["blue"][3:]).mean()
    assert nearest.nearest_distance(values["blue"], values["red"]).mean() > 1.5 * within


def test_crops_are_rgb_and_not_stretched(images):
    crops, found = features.crops(people("red", 1, paths=["7.png"]), images)
    assert crops.shape == (1, 256, 192, 3)
    assert found.all()
    assert crops[0, 128, 96, 0] >= 200 > crops[0, 128, 96, 2]
    # The box 10, 10, 40 x 60 becomes 45 x 60: half of the crop's width is 22.5 pixels of the image.
    marked = np.zeros((90, 120, 3), np.uint8)
    marked[10:70, 30:50] = 255
    cv2.imwrite(str(images / "7.png"), marked)
    row = features.crops(people("red", 1, paths=["7.png"]), images)[0][0, 128, :, 0] > 127
    assert row.sum() == pytest.approx(20 / 45 * 192, abs=2)
    assert np.flatnonzero(row)[0] == pytest.approx(96, abs=3)


def test_a_given_function_makes_the_image_features(images):
    seen = []

    def backbone(crops):
        seen.append((crops.shape, crops.dtype))
        return crops.reshape(len(crops), -1)[:, :8].astype(float)

    source = Source(people("a", 12), images=images)
    samples = collect([source], attributes=["image"], image_features=backbone)
    assert samples.values["image"]["a"].shape == (12, 8)
    assert seen == [((12, 256, 192, 3), np.uint8)]
    with pytest.raises(UsageError, match="row"):
        collect([source], attributes=["image"], image_features=lambda crops: np.zeros(3))


def test_image_features_that_lie_beside_a_file_are_taken_row_by_row(tmp_path):
    hd = people("a", 30)
    path = hd.save(tmp_path / "a.h5")
    beside = tmp_path / f"a.h5{IMAGE_FEATURES}"
    np.save(beside, np.arange(60, dtype=np.float32).reshape(30, 2))
    samples = collect([path], limit=10, attributes=["image"], stored_images=True)
    values = samples.values["image"]["a"]
    assert values.shape == (10, 2)
    np.testing.assert_array_equal(values[:, 0] + 1, values[:, 1])
    np.save(beside, np.zeros((29, 2)))
    with pytest.raises(DataError, match=r"shape \(29, 2\).* 30 rows"):
        collect([path], attributes=["image"], stored_images=True)


@pytest.fixture
def uncompiled(monkeypatch):
    """UMAP in plain Python: a few points take a second, compiling it ten."""
    monkeypatch.setattr(pytest.importorskip("numba").config, "DISABLE_JIT", True)


@pytest.mark.usefixtures("uncompiled")
def test_umap_separates_and_repeats():
    samples = collect([people("front", 8, seed=1), people("back", 8, turn=3.0, seed=2)], attributes=["global_orient"])
    first, again = (embed(samples, "global_orient", seed=3, neighbours=4) for _ in range(2))
    np.testing.assert_array_equal(first[["x", "y"]], again[["x", "y"]])
    centres = first.groupby("dataset")[["x", "y"]].mean().to_numpy()
    spread = first.groupby("dataset")[["x", "y"]].std().to_numpy().max()
    assert np.linalg.norm(centres[0] - centres[1]) > 3 * spread


def test_pca_only_on_request_and_unknown_methods_are_refused():
    samples = collect([people("a")], attributes=["global_orient"])
    flat = embed(samples, "global_orient", method="pca")
    values = samples.values["global_orient"]["a"]
    variances = np.sort(np.linalg.eigvalsh(np.cov(values.T)))[::-1][:2]
    np.testing.assert_allclose(flat[["x", "y"]].var(ddof=1), variances)
    with pytest.raises(UsageError, match="tsne"):
        embed(samples, "global_orient", method="tsne")


def test_the_figure_has_a_panel_an_attribute_and_marks_test_sets():
    sources = [people("a"), people("bedlam", turn=1), Source(people("ehf"), "test")]
    samples = collect(sources, attributes=["global_orient", "betas"])
    drawing = figure({name: embed(samples, name, method="pca") for name in samples.values})
    assert [panel.get_title(loc="left") for panel in drawing.axes] == ["global orientation (PCA)", "body shape (PCA)"]
    groups = {g.get_label(): g for g in drawing.axes[0].collections}
    assert set(groups) == {"a", "BEDLAM", "EHF (test)"}
    assert groups["EHF (test)"].get_linewidths()[0] > 0
    assert groups["BEDLAM"].get_linewidths()[0] == 0


def test_thirty_sets_have_a_panel_each_and_labels_share_one():
    sources = [people(f"set{i}", 12, seed=i) for i in range(9)] + [Source(people("ehf", 12), "test")]
    samples = collect(sources, attributes=["betas"])
    embeddings = {"betas": embed(samples, "betas", method="pca")}
    drawn = figure(embeddings)
    assert [panel.get_title(loc="left") for panel in drawn.axes][:9] == [f"set{i}" for i in range(9)]
    scenes = {"scene": {f"set{i}": "studio" if i < 4 else "indoor" for i in range(9)}}
    drawn = figure(embeddings, scenes, "scene")
    (panel,) = drawn.axes
    assert {group.get_label() for group in panel.collections} == {"studio", "indoor", "not stated"}
    assert "PCA, seed 0; 12 samples of each set" in " ".join(drawn.get_supxlabel().split())
    with pytest.raises(UsageError, match="colour"):
        figure(embeddings, {}, "real")


def test_sets_in_one_panel_have_shapes_of_their_own():
    from ehps.analysis.colours import styles

    looks = styles(["agora", "bedlam", "ubody", "mscoco", "egobody_ego", "pw3d", "ehf", "h36m", "ehf (test)"])
    assert len({look.marker for look in looks.values()}) == 8
    assert looks["ehf"] == looks["ehf (test)"]


def test_new_samples_are_placed_into_a_kept_embedding(tmp_path):
    old = collect([people("a", 40, seed=1), people("b", 40, turn=2, seed=2)], attributes=["global_orient"])
    frame = embed(old, "global_orient", method="pca", most=60)
    assert frame["dataset"].value_counts().to_dict() == {"a": 30, "b": 30}
    path = Stored.of(old, frame).save(tmp_path / "kept.npz")
    again = Stored.of(old, frame).save(tmp_path / "again.npz")
    assert path.read_bytes() == again.read_bytes()
    kept = Stored.load(path)
    np.testing.assert_allclose(kept.place(kept.features), frame[["x", "y"]], atol=1e-4)
    placed = kept.with_placed(collect([people("c", 20, turn=2, seed=9)], attributes=["global_orient"]))
    centre = placed.groupby("dataset")[["x", "y"]].mean()
    assert np.linalg.norm(centre.loc["c (new)"] - centre.loc["b"]) < 0.3 * np.linalg.norm(
        centre.loc["a"] - centre.loc["b"]
    )
    assert "c (new)" in " ".join(figure({"global_orient": placed}).get_supxlabel().split())
    with pytest.raises(UsageError, match="3 features"):
        kept.place(np.zeros((2, 3)))
    path.write_bytes(b"no")
    with pytest.raises(DataError, match=r"kept\.npz.*no embedding"):
        Stored.load(path)


def test_heat_maps_put_like_sets_beside_each_other():
    sources = [people(f"{name}{i}", 40, turn=turn, seed=i) for i in range(3) for name, turn in (("x", 0), ("y", 2))]
    samples = collect([*sources, Source(people("t", 40), "test")], attributes=["global_orient"])
    drawn = distance_figure(matrices(samples, "energy"))
    order = [text.get_text() for text in drawn.axes[0].get_yticklabels()]
    groups = "".join(name[0] for name in order)
    assert groups.count("yyy") == 1
    assert "rad" in drawn.axes[0].get_title(loc="left")
    assert "are nearest by global orientation" in " ".join(drawn.get_suptitle().split())
    covers = matrices(samples, "coverage")["global_orient"]
    assert list(covers) == ["t (test)"]
    assert covers.loc["x0", "t (test)"] > 0.5 > covers.loc["y0", "t (test)"]


def test_no_image_outside_the_folder_is_read(images, tmp_path):
    cv2.imwrite(str(images.parent / "secret.png"), np.zeros((80, 60, 3), np.uint8))
    hd = people("red", 3, paths=["7.png", "7.png", "../secret.png"])
    for read in (
        lambda: features.crops(hd, images),
        lambda: collect([Source(hd, images=images)], attributes=["image"]),
    ):
        with pytest.raises(OutsideError, match=r"'\.\./secret\.png'"):
            read()


def test_crops_are_of_the_stored_pixels_and_images_that_are_none_are_left_out(tmp_path):
    stored = np.zeros((80, 120, 3), np.uint8)
    stored[:, :60] = 255
    data = cv2.imencode(".jpg", stored)[1].tobytes()
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6
    segment = b"\xff\xe1" + (len(turned) + 2).to_bytes(2, "big") + turned
    (tmp_path / "turned.jpg").write_bytes(data[:2] + segment + data[2:])
    (tmp_path / "empty.jpg").touch()
    crops, found = features.crops(people("x", 2, paths=["turned.jpg", "empty.jpg"]), tmp_path)
    assert found.tolist() == [True, False]
    assert crops[0, 40:200, 60:130].min() > 200  # the box is in the left, bright half
