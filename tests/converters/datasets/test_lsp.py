"""LSP: its test half is what ``lsp-segmentation`` compares with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.fitting import require_fit
from ehps.benchmark.protocols.scoring import score
from ehps.body.models import BodyModels
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.passport import Passport
from tests.raw.lsp import FOCAL, NO_IMAGE, NO_PARTS, NUMBERS, SIZE, Tree
from tests.raw.trees import Raw, runner

DATASET = "lsp"
run = runner(DATASET)
KEPT = [NUMBERS.index(number) for number in NUMBERS if number not in (NO_PARTS, NO_IMAGE)]


def test_rows_are_the_test_images_with_both_masks(tree: Tree, converted: tuple[HumanData, Report]) -> None:
    hd, report = converted
    assert hd["image_path"].tolist() == ["images/im1001.jpg", "images/im2000.jpg"]
    assert hd["segmentation"].tolist()[1] == "upi-s1h/data/lsp/im2000_segmentation.png"
    assert hd["part_segmentation"].tolist()[1] == "upi-s1h/data/lsp/im2000_part_segmentation.png"
    assert len(report.dropped["no im*_segmentation.png"]) == 996
    assert report.dropped["no im*_part_segmentation.png"] == ["im1500"]
    assert (report.found, report.written, hd.passport.body_model) == (1000, 2, None)
    own = hd["keypoints2d_original"]
    np.testing.assert_allclose(own[..., :2], tree.joints[:2, :, [1000, 1999]].transpose(2, 1, 0), rtol=1e-5)
    assert (own[..., 2] == 1).all()


def test_a_body_on_its_own_silhouette_has_accuracy_1(
    tree: Tree, converted: tuple[HumanData, Report], body_models: Path
) -> None:
    hd, _ = converted
    protocol, body = catalogue.get("lsp-segmentation"), tree.body[KEPT]
    require_fit(protocol, hd)
    made = HumanData(
        {
            "image_path": hd["image_path"],
            **{f"smpl/{name}": value for name, value in body.arrays().items()},
            "meta/truth_row": np.arange(2),
            "meta/focal_length": np.full((2, 2), FOCAL),
            "meta/principal_point": np.tile([SIZE[1] / 2, SIZE[0] / 2], (2, 1)),
        },
        passport=Passport(body_model="smpl", gender="neutral", num_betas=10),
    )
    result = score(made, hd, protocol, BodyModels(body_models), images=tree.root)
    assert result.value("silhouette", "accuracy") == pytest.approx(100)
    assert result.value("silhouette", "F1") == pytest.approx(1)
    assert 0 < result.value("parts", "F1") < 1


def test_masks_may_lie_below_data(raw: Raw, tmp_path: Path) -> None:
    root = tmp_path / "lsp"
    shutil.copytree(raw.root, root)
    (root / "upi-s1h/data").rename(root / "data")
    run(root, tmp_path / "out.h5", None)
    assert HumanData.open(tmp_path / "out.h5")["segmentation"].tolist()[0] == "data/lsp/im1001_segmentation.png"


def test_the_joints_of_lspet_are_refused(raw: Raw, tmp_path: Path) -> None:
    root = tmp_path / "lsp"
    shutil.copytree(raw.root, root)
    savemat(root / "joints.mat", {"joints": np.zeros((14, 3, 20))})
    with pytest.raises(DataError, match=r"14 x 3 x 20 numbers, expected 3 x 14 x 2000 .*not of LSPET"):
        run(root, tmp_path / "out.h5", None)
