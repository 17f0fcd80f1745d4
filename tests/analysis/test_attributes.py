import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.analysis import distances, features
from ehps.analysis.attributes import Source, collect, coverage_table, distance_matrix, embed, figure
from ehps.errors import UsageError
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


def test_rotations_are_the_first_two_columns_of_their_matrices():
    vectors = np.random.default_rng(0).normal(0, 1, (4, 2, 3))
    got = features.rotation_features(vectors)
    matrix = Rotation.from_rotvec(vectors[3, 1]).as_matrix()
    np.testing.assert_allclose(got[3, 6:], np.concatenate([matrix[:, 0], matrix[:, 1]]), atol=1e-12)
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
    for measure in distances.MEASURES:
        matrix = distance_matrix(samples, "global_orient", measure)
        assert matrix.loc["front", "side"] > 3 * matrix.loc["front", "again"]
        assert matrix.loc["front", "side"] == matrix.loc["side", "front"]
    table = coverage_table(samples).set_index("train_set")
    assert table.loc["front", "coverage"] > 0.9
    assert table.loc["side", "coverage"] == 0
    assert table.loc["side", "energy"] > 3 * table.loc["front", "energy"]
    assert table.loc["side", "test_set"] == "t"


def test_distances_agree_with_plain_loops():
    rng = np.random.default_rng(5)
    a, b = rng.normal(0, 1, (7, 3)), rng.normal(1, 1, (6, 3))

    def mean(f, x, y, same=False):
        return np.mean([f(p, q) for i, p in enumerate(x) for j, q in enumerate(y) if not (same and i == j)])

    def gap(p, q):
        return np.sqrt(((p - q) ** 2).sum())

    def kernel(p, q):
        return np.exp(-(gap(p, q) ** 2) / (2 * 1.5**2))

    expected = 2 * mean(gap, a, b) - mean(gap, a, a, True) - mean(gap, b, b, True)
    assert distances.energy(a, b) == pytest.approx(np.sqrt(expected))
    expected = mean(kernel, a, a, True) + mean(kernel, b, b, True) - 2 * mean(kernel, a, b)
    assert distances.mmd(a, b, 1.5) == pytest.approx(np.sqrt(expected))
    forth, back = (np.mean([min(gap(p, q) for q in y) for p in x]) for x, y in ((a, b), (b, a)))
    assert distances.nearest(a, b) == pytest.approx((forth + back) / 2)
    covered = [min(gap(p, q) for q in a) <= sorted(gap(p, q) for q in b)[2] for p in b]
    assert distances.coverage(a, b, k=2) == np.mean(covered)


def test_samples_are_drawn_alike_whatever_else_is_there():
    alone = collect([people("a", 200)], limit=50, attributes=["betas"])
    with_b = collect([people("b", 200, seed=9), people("a", 200)], limit=50, attributes=["betas"])
    assert len(alone.values["betas"]["a"]) == 50
    np.testing.assert_array_equal(alone.values["betas"]["a"], with_b.values["betas"]["a"])


def test_shapes_of_different_body_models_are_not_compared():
    samples = collect([people("a"), people("b"), people("c", model_type="smpl")], attributes=["betas", "body_pose"])
    assert set(samples.values["betas"]) == {"a", "b"}
    assert set(samples.values["body_pose"]) == {"a", "b", "c"}
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
    within = distances.nearest(values["blue"][:3], values["blue"][3:])
    assert distances.nearest(values["blue"], values["red"]) > 1.5 * within


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
