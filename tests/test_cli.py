"""The command line as a new user meets it, on tiny data: every command's main path."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pandas as pd
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

import ehps
from ehps import doctor
from ehps.analysis import embedding, selection
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites.matrix import Suite
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.suites.suite_file import load_suite
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body import rigid_motion, rotations
from ehps.body.models import BodyModels
from ehps.body.variants import params_of
from ehps.cli import main, selections
from ehps.converters.datasets import NAMES
from ehps.demo.raw import agora, bedlam, ehf
from ehps.demo.raw.stage import Look
from ehps.humandata import HumanData, Passport
from tests.raw import mscoco
from tests.raw.checks import blank
from tests.raw.walks import ROWS, SEQUENCES, write_walks


def call(*words: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


def data(*words: str | Path, code: int = 0) -> Any:
    """What a command prints with ``--json``, and nothing else on that stream."""
    return json.loads(call(*words, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    return write_walks(tmp_path_factory.mktemp("raw") / "3DPW", body_models)


@pytest.fixture(scope="module")
def walks(raw: Path, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    """The raw tree converted; read-only."""
    out = tmp_path_factory.mktemp("converted") / "walks.h5"
    call("convert", "pw3d", raw, "--out", out, "--body-models", body_models)
    return out


# -- help -------------------------------------------------------------------------------------------------------


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    text = call(*path, "--help").stdout
    assert len(text.splitlines()[2].split()) >= 3
    listed = text.partition("Commands:")[2]
    assert "..." not in listed  # a sentence that does not fit into the list of commands


def options(command: click.Command = main) -> Iterator[tuple[str, set[str]]]:
    """Of every command that is no group its name and its options."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from options(inner)
    else:
        yield str(command.name), {word for param in command.params for word in param.opts}


def test_every_command_gives_its_result_as_json() -> None:
    assert [name for name, words in options() if "--json" not in words] == []


def test_one_word_for_one_thing() -> None:
    """Options that other commands call otherwise, or that mean something else there."""
    words = set.union(*(found for _, found in options()))
    assert not words & {"--root", "--n", "--every", "--stride", "--raw", "--image-folder", "--max"}
    assert {"--images", "--interval", "--limit", "--json", "--out"} <= words


def test_quiet_keeps_results_and_errors(tmp_path: Path) -> None:
    assert call("--quiet", "analysis", "rank").stderr == ""
    assert call("--quiet", "analysis", "rank").stdout == call("analysis", "rank").stdout
    assert "error: " in call("--quiet", "humandata", "info", tmp_path / "no.h5", code=1).stderr
    assert "contradict" in call("--quiet", "-v", "analysis", "rank", code=2).stderr


@pytest.mark.parametrize(
    "words",
    [
        "humandata sample FILE --limit 2 --seed -1 --out OUT.h5",
        "humandata view FILE --images . --out OUT --limit -1",
        "humandata view FILE --images . --out OUT --rows nan",
        "humandata view FILE --images . --out OUT --rows 1.5",
        "humandata view FILE --images . --out OUT --rows 3-1",
        "humandata view FILE --images . --out OUT --rows 2-400",
        "humandata audit FILE --worst -1",
        "analysis attributes FILE --test FILE --limit 0",
    ],
)
def test_numbers_that_count_nothing_are_refused(words: str, walks: Path, tmp_path: Path) -> None:
    call(*words.replace("FILE", str(walks)).replace("OUT", str(tmp_path / "out")).split(), code=2)
    assert not list(tmp_path.glob("out*"))


def test_the_version() -> None:
    assert call("--version").stdout.split()[-1] == ehps.__version__


def test_the_package_runs_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ehps", "--version"])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_module("ehps", run_name="__main__")
    assert capsys.readouterr().out.split()[-1] == ehps.__version__


def test_what_reads_tables_and_json_starts_without_torch(walks: Path, runs: Path, tmp_path: Path) -> None:
    """All in one process: what one of them loads is loaded for good."""
    sets = SetSpec(walks, tmp_path), SetSpec(walks, tmp_path, protocol="ehf")
    suite = Suite(train={"pw3d": sets[:1]}, test={"ehf": sets[1]}, config=TrainConfig())
    (tmp_path / "suite.json").write_text(json.dumps(suite.to_dict()))
    lines = [
        *("datasets", "datasets pw3d", "doctor", "analysis rank", f"analysis rank --results {runs}"),
        *(f"humandata info {walks}", f"benchmark status {tmp_path}", "humandata keypoints"),
        f"convert pw4d {tmp_path} --out y.h5",
    ]
    code = (
        "import sys; from click.testing import CliRunner; from ehps.cli import main;"
        f"codes = [CliRunner().invoke(main, line.split()).exit_code for line in {lines}];"
        "heavy = ('torch', 'matplotlib', 'umap', 'cv2', 'scipy.stats', 'scipy.spatial', 'scipy.io', 'smplx', 'numba');"
        "print(codes, [name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0, 0, 0, 0, 0, 0, 0, 0, 2] []"


@pytest.mark.parametrize(
    ("words", "incomplete", "completed"),
    [
        ([], "PW", ["pw3d"]),
        (["convert"], "ren", ["renbody", "renbody_hires"]),
        (["convert", "3DPW", "raw", "--split"], "t", ["train", "test"]),
        (["benchmark", "evaluate", "run", "a.h5", "--protocol"], "ub", ["ubody-intra", "ubody-intra-smplestx"]),
        (["humandata", "keypoints"], "smplx_1", ["smplx_127", "smplx_137"]),
    ],
)
def test_the_shell_completes_ids_splits_and_protocols(words: list[str], incomplete: str, completed: list[str]) -> None:
    shell = ShellComplete(main, {}, "ehps", "_EHPS_COMPLETE")
    found = shell.get_completions(words or ["datasets"], incomplete)
    assert [item.value for item in found] == completed


def test_looking_at_the_help_loads_nothing_heavy() -> None:
    heavy = ("torch", "matplotlib", "umap", "pandas", "cv2", "scipy", "smplx", "h5py", "numba")
    for code in ("import ehps", "from ehps.cli import main; main(['--help'], standalone_mode=False)"):
        check = f"{code}\nimport sys; print('loaded', [name for name in {heavy} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "loaded []"


def test_the_light_parts_load_without_torch_and_matplotlib() -> None:
    code = (
        "import sys, ehps.humandata, ehps.converters.base;"
        "print([name for name in ('torch', 'matplotlib', 'umap', 'pandas', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- convert ----------------------------------------------------------------------------------------------------


def test_converting_prints_a_report_and_saves_it(raw: Path, tmp_path: Path, body_models: Path) -> None:
    out = tmp_path / "walks.h5"
    text = call("convert", "pw3d", raw, "--out", out, "--body-models", body_models).stdout
    assert "3DPW" in call("datasets", "pw3d").stdout
    assert f"{ROWS}  instances written to" in text.replace("\n", " ")
    assert "22,735  published" in text
    assert "reprojection, px" in text
    hd = HumanData.open(out)
    assert len(hd) == ROWS
    assert sorted(set(hd["meta/sequence_name"].tolist())) == sorted(SEQUENCES)
    assert json.loads(out.with_name("walks.h5.report.json").read_text())["written"] == ROWS


def test_converting_with_options(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "walks.npz"
    report = data("convert", "pw3d", raw, "--split", "train", "--out", out, "--limit", "3")
    assert report["written"] == len(HumanData.open(out)) == 3
    assert "--body-models" in report["absent"]["keypoints2d_smpl"]
    assert report["notes"][0].startswith("converted without body models")


def test_body_models_can_come_from_the_environment(
    raw: Path, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EHPS_BODY_MODELS", str(body_models))
    assert data("convert", "pw3d", raw, "--out", tmp_path / "x.h5")["absent"] == {}


# -- humandata --------------------------------------------------------------------------------------------------


def test_info_names_columns_with_units_and_the_passport(walks: Path) -> None:
    text = call("humandata", "info", walks).stdout
    assert f"{ROWS} instances" in text
    assert "body_model smpl," in text
    assert "smpl/body_pose" in text
    assert "translation in the camera frame" in " ".join(text.split())
    facts = data("humandata", "info", walks)
    assert facts["instances"] == ROWS
    assert facts["passport"]["dataset"] == "pw3d"
    columns = {column["name"]: column for column in facts["columns"]}
    assert columns["smpl/body_pose"]["shape"] == [ROWS, 23, 3]
    assert columns["smpl/transl"]["unit"] == "metre"


def test_validate_says_yes_or_what_is_wrong(walks: Path, tmp_path: Path) -> None:
    assert "no problems" in call("humandata", "validate", walks).stdout
    assert data("humandata", "validate", walks) == []
    hd = HumanData.open(walks)
    turned = np.array(hd["smpl/transl"])
    turned[2] = np.nan
    wrong = hd.with_columns({"smpl/transl": turned}).save(tmp_path / "wrong.h5")
    (problem,) = data("humandata", "validate", wrong, code=1)
    assert (problem["column"], problem["rows"]) == ("smpl/transl", 1)
    assert "smpl/transl" in call("humandata", "validate", wrong, code=1).stdout


def test_verify_finds_a_changed_byte_and_names_the_column(walks: Path, tmp_path: Path) -> None:
    assert "as they were written" in call("humandata", "verify", walks).stdout
    copy = tmp_path / "copy.h5"
    content = bytearray(walks.read_bytes())
    pattern = np.array(HumanData.open(walks)["smpl/transl"])[0].tobytes()
    content[content.index(pattern)] ^= 1
    copy.write_bytes(content)
    assert "was damaged: smpl/transl" in call("humandata", "verify", copy, code=1).stderr
    assert data("humandata", "verify", copy, code=1)["damaged"] == ["smpl/transl"]
    npz = tmp_path / "a.npz"
    npz.touch()
    assert "hashes" in call("humandata", "verify", npz, code=2).stderr


def test_doubtful_rows_of_an_audit_can_be_left_out(walks: Path, raw: Path, tmp_path: Path) -> None:
    found = data("humandata", "audit", walks, "--threshold", "height_max_m=0.5")
    assert found["counts"]["height_m"] == ROWS
    heights = np.sort(HumanData.open(walks)["quality/height_m"])
    limit = f"height_max_m={(heights[0] + heights[-1]) / 2}"
    folder = tmp_path / "audit"
    text = call(
        "humandata", "audit", walks, "--images", raw, "--out", folder, "--threshold", limit, "--worst", "2"
    ).stdout
    tall = int((heights > (heights[0] + heights[-1]) / 2).sum())
    assert 0 < tall < ROWS
    assert f"{tall} of {ROWS} instances are doubtful" in text
    assert "drawn: " in text
    assert cv2.imread(str(next((folder / "worst").glob("*.png")))) is not None
    left = tmp_path / "left.h5"
    call("humandata", "sample", walks, "--exclude", folder / "exclude.json", "--out", left)
    assert len(HumanData.open(left)) == ROWS - tall
    assert HumanData.open(left)["quality/height_m"].max() == heights[ROWS - tall - 1]


def test_viewing_draws_people_on_their_images(walks: Path, raw: Path, tmp_path: Path) -> None:
    result = call("humandata", "view", walks, "--images", raw, "--out", tmp_path / "drawn", "--rows", "0-1")
    (page,) = [Path(line) for line in result.stdout.splitlines()]
    assert len(np.unique(cv2.imread(str(page)).reshape(-1, 3), axis=0)) > 10
    assert result.stderr == ""
    missing = call("humandata", "view", walks, "--images", tmp_path, "--out", tmp_path / "grey", "--limit", "2", code=1)
    assert "no image is there" in missing.stderr
    assert (tmp_path / "grey/view_001.png").is_file()
    paths = HumanData.open(walks)["image_path"].tolist()
    only = tmp_path / "one" / paths[0]
    only.parent.mkdir(parents=True)
    only.write_bytes((raw / paths[0]).read_bytes())
    other = next(row for row, path in enumerate(paths) if path != paths[0])
    some = call(
        "humandata", "view", walks, "--images", tmp_path / "one", "--out", tmp_path / "s", "--rows", f"0,{other}"
    )
    assert "1 images are not below" in some.stderr


def test_what_writes_files_says_so_as_json(walks: Path, raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    assert data("humandata", "sample", walks, "--interval", "2", "--out", out) == {
        "out": str(out),
        "instances": ROWS // 2,
        "of": ROWS,
    }
    both = data("humandata", "merge", walks, out, "--out", tmp_path / "both.h5")
    assert (both["instances"], both["left_out"]) == (ROWS + ROWS // 2, {})
    assert data("humandata", "export", out, "--out", tmp_path / "out.npz")["files"] == [str(tmp_path / "out.npz")]
    drawn = data("humandata", "view", walks, "--images", raw, "--out", tmp_path / "drawn", "--limit", "1")
    assert [Path(page).exists() for page in drawn["pages"]] == [True]
    stated = data("humandata", "convert", walks, "--declare", "split=train", "--out", tmp_path / "mine.h5")
    assert stated["passport"]["split"] == "train"


def test_export_to_npz_keeps_the_numbers(walks: Path, tmp_path: Path) -> None:
    out = tmp_path / "walks.npz"
    assert call("humandata", "export", walks, "--out", out).stdout.strip() == str(out)
    a, b = HumanData.open(walks), HumanData.open(out)
    np.testing.assert_array_equal(a["smpl/body_pose"], b["smpl/body_pose"])
    with np.load(out) as plain:  # what numpy alone reads
        assert plain["image_path"].tolist() == a["image_path"].tolist()


def test_export_to_where_a_loader_looks(walks: Path, tmp_path: Path) -> None:
    hd = HumanData.open(walks)
    body = {f"smplx/{name}": hd[f"smpl/{name}"] for name in ("betas", "global_orient", "transl")}
    body["smplx/body_pose"] = hd["smpl/body_pose"][:, :21]
    bedlam = hd.without([name for name in hd.columns if name.startswith("smpl/")]).with_columns(body)
    bedlam.passport = hd.passport.with_(dataset="bedlam", body_model="smplx")
    path = bedlam.save(tmp_path / "bedlam.h5")
    written = Path(call("humandata", "export", path, "--for", "smpler-x", "--out", tmp_path / "X").stdout.strip())
    assert written.relative_to(tmp_path / "X").as_posix() == "preprocessed_datasets/bedlam_train.npz"
    assert len(HumanData.open(written)) == ROWS
    refused = call("humandata", "export", walks, "--for", "smpler-x", "--out", tmp_path / "X", code=2)
    assert "the dataset's own annotation files" in refused.stderr


def test_export_converts_the_hands_when_it_has_body_models(tmp_path: Path, body_models: Path) -> None:
    n = 3
    pose = np.random.default_rng(4).normal(size=(n, 15, 3)).astype(np.float32)
    numbers = {"betas": 10, "global_orient": 3, "transl": 3}
    hd = HumanData(
        {"image_path": [f"{i}.png" for i in range(n)], "bbox_xywh": np.ones((n, 5), np.float32)}
        | {f"smplx/{name}": np.zeros((n, size), np.float32) for name, size in numbers.items()}
        | {"smplx/body_pose": np.zeros((n, 21, 3), np.float32), "smplx/left_hand_pose": pose}
        | {"keypoints2d_smplx": np.ones((n, 1, 3), np.float32), "meta/height": np.full(n, 720)}
        | {"meta/width": np.full(n, 1280)},
        keypoint_names={"keypoints2d_smplx": ("pelvis",)},
        passport=Passport(dataset="bedlam", split="train", body_model="smplx", gender="neutral", flat_hand_mean=True),
    )
    line = ("humandata", "export", hd.save(tmp_path / "bedlam.h5"), "--for", "smplest-x", "--out", tmp_path / "X")
    assert "--body-models" in call(*line, code=2).stderr
    done = call(*line, "--body-models", body_models)
    assert "made relative" in done.stderr
    back = HumanData.open(done.stdout.strip())
    with np.load(body_models / "smplx/SMPLX_NEUTRAL.npz") as model:
        expected = pose - model["hands_meanl"].reshape(15, 3)
    np.testing.assert_allclose(back["smplx/left_hand_pose"], expected, atol=1e-6)
    assert back.passport.flat_hand_mean is False


def test_merge_and_sample(walks: Path, tmp_path: Path) -> None:
    both, half, some = tmp_path / "both.h5", tmp_path / "half.h5", tmp_path / "some.npz"
    for copy in (walks, Path(shutil.copy(walks, tmp_path / "copy.h5"))):
        assert "holds the same rows" in call("humandata", "merge", walks, copy, "--out", both, code=2).stderr
    assert (
        f"half.h5: {ROWS // 2} instances" in call("humandata", "sample", walks, "--interval", "2", "--out", half).stdout
    )
    done = call("humandata", "merge", walks, half, "--out", both)
    assert f"both.h5: {ROWS + ROWS // 2} instances" in done.stdout
    assert f"{ROWS // 2} rows of {half} are in {walks} too" in done.stderr
    call("humandata", "sample", both, "--interval", "2", "--out", half, "--overwrite")
    call("humandata", "sample", both, "--limit", "3", "--seed", "1", "--out", some)
    hd = HumanData.open(both)
    assert HumanData.open(half)["image_path"].tolist() == hd["image_path"].tolist()[::2]
    assert len(HumanData.open(some)) == 3


def in_the_world(walks: Path, out: Path, models: BodyModels) -> Path:
    """The walks as another program would write them: in the world, the way to the camera beside them."""
    hd = HumanData.open(walks)
    params, turn, shift = params_of(hd), rotations.about("y", 40.0), np.array([1.0, 2, 3])
    world = rigid_motion.to_camera(params, turn.T, -turn.T @ shift, models.rest_pelvis(params))
    rows = {"smpl/transl": world.transl, "smpl/global_orient": world.global_orient}
    rows |= {"meta/R": np.tile(turn, (len(hd), 1, 1)), "meta/T": np.tile(shift, (len(hd), 1))}
    hd.with_columns(rows).save(out)
    with np.load(out, allow_pickle=True) as content:
        members = dict(content)
    misc = {name: value for name, value in members["misc"].item().items() if not name.startswith("ehps")}
    np.savez(out, **members | {"misc": np.array(misc, object)})
    return out


def test_files_of_others_are_brought_to_the_camera(walks: Path, tmp_path: Path, body_models: Path) -> None:
    path = in_the_world(walks, tmp_path / "world.npz", BodyModels(body_models))
    info = call("humandata", "info", path)
    assert "frame unknown" in info.stdout
    assert "meta/R, meta/T" in info.stderr
    assert any("frame unknown" in row["problem"] for row in data("humandata", "validate", path, code=1))
    out = tmp_path / "camera.h5"
    refused = call("humandata", "merge", path, walks, "--out", out, code=1)
    assert "differ in frame: 'unknown' and 'opencv-camera'" in refused.stderr
    assert "body models" in call("humandata", "convert", path, "--frame", "camera", "--out", out, code=2).stderr
    assert not out.exists()
    done = call("humandata", "convert", path, "--frame", "camera", "--body-models", body_models, "--out", out)
    assert "moved by meta/R, meta/T" in done.stderr
    assert "keypoints3d_smpl: was in the camera frame already" in done.stderr
    own, back = HumanData.open(walks), HumanData.open(out)
    for name in ("smpl/transl", "smpl/global_orient"):
        np.testing.assert_allclose(back[name], own[name], atol=1e-5)
    assert data("humandata", "validate", out) == []
    fields = ("--declare", f"body_model_version={own.passport.body_model_version}")
    call("humandata", "convert", out, *fields, "--out", tmp_path / "known.h5")
    known = HumanData.open(tmp_path / "known.h5")
    known[: ROWS // 2].save(tmp_path / "some.h5")
    call("humandata", "merge", tmp_path / "some.h5", walks, "--out", tmp_path / "both.h5")


def test_a_frame_is_declared_in_one_step(walks: Path, tmp_path: Path, body_models: Path) -> None:
    path = in_the_world(walks, tmp_path / "world.npz", BodyModels(body_models))
    run = ("benchmark", "train", path, "--images", tmp_path, "--out", tmp_path / "run", "--body-models", body_models)
    assert "--declare frame=opencv-camera" in call(*run, code=1).stderr
    assert not (tmp_path / "run").exists()
    out = tmp_path / "said.h5"
    done = call("humandata", "convert", path, "--declare", "frame=opencv-camera", "--out", out)
    assert "meta/R, meta/T stay for reference only, as meta/RT" in done.stderr
    assert data("humandata", "validate", out) == []
    for words, what in (
        ((), "is to be converted"),
        (("--declare", "frame=opencv-camera", "--frame", "camera"), "Pass one of them"),
        (("--declare", "units=inch"), "units cannot be declared"),
        (("--declare", "gender"), "is not NAME=VALUE"),
    ):
        assert what in call("humandata", "convert", path, *words, "--out", tmp_path / "new.h5", code=2).stderr


def test_an_audit_of_a_file_without_measures_says_so(tmp_path: Path) -> None:
    path = HumanData({"image_path": ["a.png", "b.png"]}).save(tmp_path / "bare.h5")
    text = call("humandata", "audit", path).stdout
    assert "no body parameters: nothing was measured" in text
    assert "0 of 2" in " ".join(text.split())


def test_merging_names_the_columns_that_are_left_out(walks: Path, tmp_path: Path) -> None:
    less = HumanData.open(walks)[1:].without(["meta/track_id"]).save(tmp_path / "less.h5")
    result = call("humandata", "merge", walks, less, "--out", tmp_path / "both.h5")
    assert "left out: meta/track_id" in result.stderr
    assert "less.h5" in result.stderr


def test_the_conventions_and_the_numbered_points_of_one(tmp_path: Path) -> None:
    sizes = {row["convention"]: row["points"] for row in data("humandata", "keypoints")}
    assert sizes["coco"] == 17
    assert "openpose_137" in call("humandata", "keypoints").stdout
    points = data("humandata", "keypoints", "coco")
    assert points[0] == {"index": 0, "point": "nose"}
    assert len(points) == 17
    out = tmp_path / "figures/coco.png"
    assert "left_shoulder" in call("humandata", "keypoints", "coco", "--figure", out).stdout
    assert cv2.imread(str(out)).shape[1] > 1000
    assert "Did you mean coco" in call("humandata", "keypoints", "cocoo", code=2).stderr
    assert "Name it before --figure" in call("humandata", "keypoints", "--figure", out, code=2).stderr
    assert ".png" in call("humandata", "keypoints", "coco", "--figure", tmp_path / "coco.pdf", code=2).stderr


# -- datasets, doctor -------------------------------------------------------------------------------------------


def test_the_datasets_and_one_of_them() -> None:
    text = call("datasets").stdout
    table = data("datasets")
    assert [row["id"] for row in table] == list(NAMES)
    assert all(row["id"] in text for row in table)
    published = {row["id"]: row["instances"] for row in table}
    assert published["bedlam"] == 951066
    assert "951,066" in text
    page = call("datasets", "ehf").stdout
    assert "# EHF" in page
    assert "_align.ply" in page
    facts = data("datasets", "ehf")
    assert facts["available"] is True
    assert facts["body_model"] == "smplx"


def test_the_doctor_says_what_is_missing_and_what_to_do(tmp_path: Path, body_models: Path) -> None:
    rows = {row["what"]: row for row in data("doctor")}
    assert rows["numpy"]["state"] == "ok"
    assert rows["body models"]["state"] == "missing"
    assert "EHPS_BODY_MODELS" in rows["body models"]["to do"]
    (tmp_path / "smplx").mkdir()
    (tmp_path / "smplx/SMPLX_NEUTRAL.npz").symlink_to(body_models / "smplx/SMPLX_NEUTRAL.npz")
    found = {row["what"]: row for row in data("doctor", "--body-models", tmp_path)}
    assert (found["SMPL-X neutral"]["state"], found["SMPL-X male"]["state"]) == ("ok", "missing")
    assert "python" in call("doctor").stdout


def test_the_doctor_finds_damaged_files(tmp_path: Path, body_models: Path) -> None:
    (tmp_path / "smplx").mkdir()
    whole = (body_models / "smplx/SMPLX_NEUTRAL.npz").read_bytes()
    (tmp_path / "smplx/SMPLX_NEUTRAL.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "SMPLX_to_J14.pkl").write_bytes(b"no pickle")
    found = {row["what"]: row for row in data("doctor", "--body-models", tmp_path)}
    assert found["SMPL-X male"]["state"] == "missing"
    for name in ("SMPL-X neutral", "SMPLX_to_J14.pkl"):
        assert found[name]["state"] == "damaged"
        assert "download it again" in found[name]["to do"]


def test_the_doctor_survives_a_torch_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(doctor, "DRIVERS", (Path("/dev/null"),))
    found = {row["what"]: row for row in data("doctor")}
    assert (found["gpu"]["state"], "does not start" in found["gpu"]["detail"]) == ("missing", True)


# -- benchmark --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    """A suite file beside its data: one training set, one test set, a very small model."""
    folder = tmp_path_factory.mktemp("suite")
    rng = np.random.default_rng(1)
    mscoco.write_fixture(folder / "raw/mscoco", body_models, rng)
    look = Look("standing", "studio")
    truth = ehf.write(folder / "raw/ehf", body_models, rng, look=look, images=2, painted=False)
    blank(folder / "raw/ehf", truth.image_path, 1200, 1600)
    for name in ("mscoco", "ehf"):
        call("convert", name, folder / "raw" / name, "--out", folder / f"{name}.h5", "--body-models", body_models)
    lines = (
        "train: {mscoco: {data: mscoco.h5, images: raw/mscoco}}",
        "test: {ehf: {data: ehf.h5, images: raw/ehf, protocol: ehf}}",
        "models: [tiny]",
        "model_args: {width: 32, depth: 1, heads: 2}",
        "steps: 2",
        "batch_size: 2",
        "workers: 0",
        "log_every: 1",
    )
    (folder / "suite.yaml").write_text("\n".join(lines))
    return folder / "suite.yaml"


def test_a_suite_is_run_once_and_its_state_is_known(suite: Path, tmp_path: Path, body_models: Path) -> None:
    runs = tmp_path / "runs"
    (cell,) = data("benchmark", "run", suite, "--out", runs, "--body-models", body_models)
    assert (cell["train_set"], cell["test_set"], cell["state"], cell["step"]) == ("mscoco", "ehf", "done", 2)
    weights = runs / "mscoco/tiny/checkpoints/final.pt"
    before = weights.stat().st_mtime_ns
    assert data("benchmark", "status", runs) == [cell]
    assert "done" in call("benchmark", "run", suite, "--out", runs, "--body-models", body_models).stdout
    assert weights.stat().st_mtime_ns == before
    words = ("--images", suite.parent / "raw/mscoco", "--protocol", "egobody-ego", "--body-models", body_models)
    metrics = data("benchmark", "evaluate", runs / "mscoco/tiny", suite.parent / "mscoco.h5", *words)
    assert {"part": "all", "metric": "PVE", "n": 5} in [{k: m[k] for k in ("part", "metric", "n")} for m in metrics]
    again = data("benchmark", "evaluate", runs / "mscoco/tiny", suite.parent / "mscoco.h5", *words)
    assert [list(row.items()) for row in again] == [list(row.items()) for row in metrics]
    ranked = data("analysis", "rank", "--results", runs)
    assert ranked[0]["ehf"] == pytest.approx(cell["value"])
    assert ranked[0]["rank"] is None
    text = call("analysis", "rank", "--results", runs)
    assert "missing: AGORA, UBody, EgoBody, 3DPW" in text.stderr
    assert data("analysis", "rank", "--results", runs, "--benchmarks", "present")[0]["rank"] == 1
    refused = call("analysis", "factors", "--results", runs, code=1)
    assert "--benchmarks present" in refused.stderr


def test_packed_crops_take_the_place_of_images(suite: Path, tmp_path: Path, body_models: Path) -> None:
    packs = {name: tmp_path / f"{name}.pack" for name in ("mscoco", "ehf")}
    for name, path in packs.items():
        line = ("benchmark", "pack", suite.parent / f"{name}.h5", "--images", suite.parent / f"raw/{name}")
        made = data(*line, "--out", path, "--scale", "256x192", *(("--exact",) if name == "ehf" else ()))
    facts = data("humandata", "info", packs["ehf"])
    assert facts == made
    assert (facts["rows"], facts["instances"], facts["scale"], facts["quality"]) == (2, 2, [256, 192], 92)
    assert facts["content"] == data("humandata", "verify", suite.parent / "ehf.h5")["content_sha256"]
    assert data("humandata", "verify", packs["ehf"])["faults"] == []
    assert "2 of 2 rows of ehf.h5" in call("humandata", "info", packs["ehf"]).stdout
    text = suite.read_text().replace("raw/mscoco", str(packs["mscoco"])).replace("raw/ehf", str(packs["ehf"]))
    packed = suite.with_name("packed.yaml")
    packed.write_text(text)
    models = ("--body-models", body_models)
    shown = data("benchmark", "run", packed, "--out", tmp_path / "runs", "--dry-run", *models)
    assert shown["missing"] == []
    (cell,) = data("benchmark", "run", packed, "--out", tmp_path / "runs", *models)
    assert cell["state"] == "done"
    line = ("benchmark", "train", suite.parent / "mscoco.h5", "--out", tmp_path / "x", "--steps", "1", *models)
    assert "holds the crops of ehf.h5" in call(*line, "--images", packs["ehf"], code=1).stderr
    whole = packs["ehf"].read_bytes()
    packs["ehf"].write_bytes(whole[:-100])
    for command in ("info", "verify"):
        assert "is cut short" in call("humandata", command, packs["ehf"], code=1).stderr
    packs["ehf"].write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
    assert "is damaged: 1 of 2 crops" in call("humandata", "verify", packs["ehf"], code=1).stderr


def test_one_model_is_trained_on_one_file(suite: Path, tmp_path: Path, body_models: Path) -> None:
    words = ("--images", suite.parent / "raw/mscoco", "--body-models", body_models, "--workers", "0")
    line = ("benchmark", "train", suite.parent / "mscoco.h5", "--out", tmp_path / "run", *words)
    printed = call(*line, "--steps", "1", "--batch-size", "2").stdout
    assert Path(printed.strip().splitlines()[-1]).is_file()
    other = call(*line, "--steps", "1", "--batch-size", "3", code=2)
    assert "holds another run: batch_size is 2, not 3" in other.stderr


def test_two_datasets_are_brought_to_one_form_merged_and_trained_on(tmp_path: Path, body_models: Path) -> None:
    rng, look = np.random.default_rng(3), Look("standing", "studio")
    for name, module in (("bedlam", bedlam), ("agora", agora)):
        raw = tmp_path / "raw" / name
        truth = module.write(raw, body_models, rng, look=look, images=1, painted=False)
        blank(raw, truth.image_path, 720, 1280)
        call("convert", name, raw, "--out", tmp_path / f"{name}.h5", "--body-models", body_models)
    made, models = tmp_path / "made", ("--body-models", body_models)
    words = ("--num-betas", "10", "--flat-hand-mean", "no", *models)
    call("humandata", "convert", tmp_path / "bedlam.h5", made / "bedlam.h5", *words)
    refused = call("humandata", "merge", tmp_path / "bedlam.h5", tmp_path / "agora.h5", "--out", made / "x.h5", code=1)
    assert "--num-betas N" in refused.stderr
    done = call("humandata", "convert", tmp_path / "agora.h5", made / "agora.h5", "--gender", "neutral", *models)
    assert "fitted with 10 betas of the neutral model" in done.stderr
    both = made / "both.h5"
    call("humandata", "merge", made / "bedlam.h5", made / "agora.h5", "--out", both)
    hd = HumanData.open(both)
    assert {path.split("/")[0] for path in hd["image_path"]} == {"bedlam", "agora"}
    assert "agora: " in str(hd.passport.changes)
    assert hd.passport.gender == "neutral"
    line = ("benchmark", "train", both, *models, "--workers", "0", "--batch-size", "2", "--steps")
    call(*line, "2", "--out", tmp_path / "named")  # the folders that the file names
    (tmp_path / "raw/agora").rename(tmp_path / "moved")
    assert "no such image" in call(*line, "1", "--out", tmp_path / "gone", code=1).stderr
    call(*line, "1", "--out", tmp_path / "given", "--images", f"agora={tmp_path / 'moved'}")
    weights = [(tmp_path / run / "checkpoints/final.pt").stat().st_size for run in ("named", "given")]
    assert weights[0] == weights[1] > 0
    assert "It has agora, bedlam" in call(*line, "1", "--out", tmp_path / "x", "--images", "ubody=x", code=2).stderr


def test_a_suite_with_a_failing_cell_goes_on_and_says_so(suite: Path, tmp_path: Path, body_models: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(suite.parent / "raw/mscoco", images)
    for path in images.rglob("*.jpg"):
        path.write_bytes(path.read_bytes()[:200])  # there, and cut short
    text = suite.read_text().replace("mscoco.h5, images: raw/mscoco", f"mscoco.h5, images: {images}")
    broken = suite.with_name("broken.yaml")
    broken.write_text(text)
    result = call("benchmark", "run", broken, "--out", tmp_path / "runs", "--body-models", body_models, code=1)
    assert "failed" in result.stdout
    (cell,) = data("benchmark", "status", tmp_path / "runs")
    assert "images cannot be used" in cell["reason"]


# -- analysis ---------------------------------------------------------------------------------------------------

LEVELS = {"pw3d": 90.0, "bedlam": 80.0, "mscoco": 95.0, "h36m": 140.0}
TESTS = {
    "agora": "agora-val",
    "ubody": "ubody-intra",
    "egobody_ego": "egobody-ego",
    "pw3d": "pw3d-smplerx",
    "ehf": "ehf",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folders of four training sets with made-up errors on all five benchmarks."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    rng = np.random.default_rng(0)
    for name, level in LEVELS.items():
        run = Run(folder / name / "tiny")
        trained_on = {"dataset": name, "split": "train", "interval": 1, "instances": 10 * int(level)}
        run.note(train_set=name, model="tiny", trained_on=[trained_on])
        (run.folder / "train.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n')
        for test_set, protocol in TESTS.items():
            part, metric = catalogue.get(protocol).primary
            values = level + rng.normal(0, 5, 12)
            errors = pd.DataFrame(
                {
                    "truth_row": range(12),
                    "image_path": [f"{i}.jpg" for i in range(12)],
                    "part": part,
                    "metric": metric,
                    "sequence": [f"s{i % 4}" for i in range(12)],
                    "value": values,
                }
            )
            line = {"part": part, "metric": metric, "value": values.mean(), "unit": "mm", "n": 12, "skipped": 0}
            definition = catalogue.get(protocol).to_dict()
            cell = {"test_set": test_set, "protocol": protocol, "definition": definition, "metrics": [line], "key": ""}
            run.store(cell, errors)
    return folder


def test_the_published_ranking_is_short_on_screen_and_whole_in_files(tmp_path: Path) -> None:
    printed = call("analysis", "rank", "--out", tmp_path / "ranking.csv")
    text = printed.stdout
    assert [line for line in text.splitlines() if "mscoco" in line or "prox *" in line or "?" in line]
    assert "repository" not in text
    assert "* 8 names are inferred" in printed.stderr
    assert "? 16 ranks" in printed.stderr
    assert "no point of rank 4" in printed.stderr
    assert max(map(len, text.splitlines())) <= 100
    rows = data("analysis", "rank", "--model", "smpler_x_b")
    assert {"source", "basis", "identification", "train_set", "rank"} <= set(rows[0])
    assert [row["rank"] for row in rows] == sorted(row["rank"] for row in rows)
    saved = pd.read_csv(tmp_path / "ranking.csv")
    assert saved["train_set"][0] == "mscoco"
    assert "source" in saved


def test_a_ranking_of_runs(runs: Path, tmp_path: Path) -> None:
    rows = data("analysis", "rank", "--results", runs, "--out", tmp_path / "ranking.csv")
    assert [row["train_set"] for row in rows] == sorted(LEVELS, key=lambda name: LEVELS[name])
    first = rows[0]
    assert first["mpe"] == pytest.approx(np.mean([first[name] for name in TESTS]))
    assert first["mpe_low"] < first["mpe"] < first["mpe_high"]
    assert pd.read_csv(tmp_path / "ranking.csv")["mpe_low"][0] == pytest.approx(first["mpe_low"], abs=1e-3)
    text = call("analysis", "rank", "--results", runs, "--out", tmp_path / "ranking.md").stdout
    assert "h36m" in text
    assert "| Rank | Training set |" in (tmp_path / "ranking.md").read_text()


def test_factors_of_the_published_ranking_with_a_figure(tmp_path: Path) -> None:
    figure = tmp_path / "factors.png"
    text = call("analysis", "factors", "--figure", figure, "--by", "scene").stdout
    assert "appearance" in text
    assert cv2.imread(str(figure)) is not None


def test_factors_of_runs(runs: Path) -> None:
    found = data("analysis", "factors", "--results", runs)
    assert {"instances", "appearance", "annotation"} <= {row["factor"] for row in found["factors"]}
    assert found["joint"] is None  # too few sets


def test_factors_of_the_published_ranking_together(tmp_path: Path) -> None:
    found = data("analysis", "factors", "--figure", tmp_path / "four.png")
    assert found["joint"]["sets"] == 15  # those with a name and a size
    assert cv2.imread(str(tmp_path / "four.png")) is not None


@pytest.fixture
def no_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two features instead: UMAP compiles itself for 15 seconds."""
    monkeypatch.setattr(embedding, "_umap", lambda pooled, *_: pooled[:, :2])


@pytest.mark.usefixtures("no_umap")
def test_attributes_of_sets(walks: Path, tmp_path: Path) -> None:
    hd = HumanData.open(walks)
    other = hd[4:]
    other.passport = hd.passport.with_(dataset="mine")
    test = other.save(tmp_path / "mine.h5")
    figure = tmp_path / "attributes.png"
    rows = data("analysis", "attributes", walks, "--test", test)
    assert {(row["train_set"], row["test_set"]) for row in rows} == {("pw3d", "mine")}
    assert {"global_orient", "body_pose"} <= {row["attribute"] for row in rows}
    call("analysis", "attributes", walks, "--test", test, "--figure", figure, "--out", tmp_path / "coverage.csv")
    assert cv2.imread(str(figure)) is not None
    assert len(pd.read_csv(tmp_path / "coverage.csv")) == len(rows)


@pytest.mark.usefixtures("no_umap")
def test_attributes_have_four_tables_a_heat_map_and_an_embedding_that_is_kept(walks: Path, tmp_path: Path) -> None:
    hd = HumanData.open(walks)
    other = hd[4:]
    other.passport = hd.passport.with_(dataset="mine")
    test = other.save(tmp_path / "mine.h5")
    given = ["analysis", "attributes", walks, "--test", test, "--attribute", "body_pose", "--limit", "100"]
    assert {"energy", "mmd_squared", "mmd_p", "frechet", "classifier", "at_zero"} <= set(data(*given)[0])
    assert {row["set"] for row in data(*given, "--table", "between")} == {"pw3d"}
    for table in ("diversity", "curve"):
        data(*given, "--table", table)
    kept, drawn, heat = tmp_path / "kept.npz", tmp_path / "placed.png", tmp_path / "heat.png"
    result = call(*given, "--save-embedding", kept, "--heat-map", heat, "--measure", "frechet")
    assert "root mean square over 21 joints" in result.stderr
    assert kept.exists()
    call("analysis", "attributes", test, "--place-in", kept, "--figure", drawn, "--colour-by", "scene")
    assert cv2.imread(str(drawn)) is not None
    assert cv2.imread(str(heat)) is not None


def test_selection_under_a_budget(walks: Path, runs: Path, tmp_path: Path) -> None:
    hd = HumanData.open(walks)
    hd.passport = hd.passport.with_(dataset="mscoco")
    other = hd.save(tmp_path / "mscoco.h5")
    rows = data("analysis", "select", walks, other, "--results", runs, "--budget", "6")["chosen"]
    assert [row["dataset"] for row in rows] == ["pw3d", "mscoco"]
    assert sum(row["instances"] for row in rows) <= 6
    found = data("analysis", "select", walks, other, "--budget", "6", "--sets", "1")
    (one,) = found["chosen"]
    assert (one["dataset"], one["rank"]) == ("mscoco", 5)
    assert found["left_out"]["prox"] == "not available"
    said = call("analysis", "select", walks, other, "--budget", "6", "--sets", "1").stderr
    assert len(said.splitlines()) <= 6
    assert "more, not available" in said
    printed = call("analysis", "select", walks, other, "--budget", "6", "--rule", "top-k").stdout
    assert "own_test" in printed
    assert "Without training splits of test sets" in printed


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("", "how much is to be chosen"),
        ("--budget 6 --gpu-hours 1", "how much is to be chosen"),
        ("--budget 6 --images-per-second 9", "is of --gpu-hours"),
        ("--gpu-hours 1", "how many instances a GPU hour has is not known"),
        ("--gpu-hours -1 --images-per-second 9", "must be positive"),
        ("--budget 6 --rule all --sets 3", "--sets is nothing that all looks at"),
        ("--budget 6 --rule top-k --diversity 1", "--diversity is nothing that top-k"),
        ("--budget 6 --rule mixture", "mixture fits small trainings"),
        ("--budget 6 --rule greedy-coverage", "compares with test sets"),
        ("--budget 6 --figure x.png", "--figure draws predicted errors"),
        ("--budget 6 --scaling FILE", "--scaling is drawn in a figure"),
        ("--budget 0", "must be positive"),
    ],
)
def test_a_selection_that_lacks_what_it_chooses_by_is_refused(walks: Path, words: str, what: str) -> None:
    line = ["analysis", "select", walks, *words.replace("FILE", str(walks)).split()]
    assert what in call(*line, code=2).stderr


def test_the_rules_of_the_command_are_those_of_the_library() -> None:
    assert selections.RULES == selection.RULES


def test_a_selection_is_a_suite_that_runs(suite: Path, runs: Path, tmp_path: Path, body_models: Path) -> None:
    folder = shutil.copytree(suite.parent, tmp_path / "data")
    hd = HumanData.open(folder / "mscoco.h5")
    hd.passport = hd.passport.with_(dataset="bedlam")
    hd.save(folder / "bedlam.h5")
    for name in ("mscoco", "bedlam"):
        (folder / f"{name}.h5.report.json").unlink(missing_ok=True)
    images = [word for name in ("mscoco", "bedlam") for word in ("--images", f"{folder / name}.h5={folder}/raw/mscoco")]
    images += ["--images", f"{folder}/ehf.h5={folder}/raw/ehf"]
    made = folder / "chosen.yaml"
    files = [folder / "mscoco.h5", folder / "bedlam.h5"]
    given = ["analysis", "select", *files, "--results", runs, "--budget", len(hd) * 2 - 1, *images]
    call(*map(str, given), "--suite", made, "--test", folder / "ehf.h5")
    first = made.read_bytes()
    call(*map(str, given), "--suite", made, "--test", folder / "ehf.h5")
    assert made.read_bytes() == first
    assert str(tmp_path) not in made.read_text()
    loaded = load_suite(made, files=True)
    assert list(loaded.train) == ["mix", "bedlam", "mscoco"]
    assert {type(spec.interval) for spec in loaded.train["mix"]} <= {int, float}
    assert {name: spec.protocol for name, spec in loaded.test.items()} == {"ehf_val": "ehf"}
    plan = data("benchmark", "run", made, "--out", tmp_path / "runs", "--dry-run", "--body-models", body_models)
    assert plan
    small = [line for line in suite.read_text().splitlines() if line.startswith(("model_args", "batch", "workers"))]
    made.write_text("\n".join([made.read_text(), *small]))
    only = ["--only", "mix", "--only", "bedlam", "--budget", "4"]
    call("benchmark", "run", made, "--out", tmp_path / "runs", *only, "--body-models", body_models)
    cells = {cell["train_set"]: cell["state"] for cell in data("benchmark", "status", tmp_path / "runs")}
    assert cells == {"mix": "done", "bedlam": "done", "mscoco": "missing"}
    call(*map(str, given), "--suite", made, code=2)


@pytest.mark.usefixtures("no_umap")
def test_the_report_is_one_page(runs: Path, walks: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = call("analysis", "report", "--results", runs, "--out", page, "--data", walks, "--title", "Which?")
    assert result.stdout.strip() == str(page)
    text = page.read_text()
    assert "Which?" in text
    assert "h36m" in text
    assert 'src="http' not in text


def test_a_ranking_is_a_page_and_a_csv_that_is_read_again(runs: Path, tmp_path: Path) -> None:
    ranked = data("analysis", "rank", "--results", runs, "--out", tmp_path / "ranking.html")
    page = (tmp_path / "ranking.html").read_text()
    assert "<caption>Training sets by mean primary error, mm</caption>" in page
    call("analysis", "rank", "--results", runs, "--out", tmp_path / "ranking.csv")
    again = data("analysis", "rank", "--results", tmp_path / "ranking.csv")
    assert [row["train_set"] for row in again] == [row["train_set"] for row in ranked]
    call("analysis", "rank", "--results", tmp_path / "ranking.csv", "--by", "hands", code=2)
    (tmp_path / "ranking.txt").write_text("x")
    call("analysis", "rank", "--results", tmp_path / "ranking.txt", code=2)


def test_rankings_are_compared(runs: Path, tmp_path: Path) -> None:
    result = data("analysis", "compare", "smpler_x_s", "smpler_x_b", "hand4whole")
    assert [row["shared"] for row in result["compared"]] == [31, 31, 31]
    assert len(result["moves"]) == 15
    call("analysis", "rank", "--results", runs, "--out", tmp_path / "mine.csv")
    text = call("analysis", "compare", runs, tmp_path / "mine.csv", "--out", tmp_path / "agreement.md").stdout
    assert "1.00" in text
    assert "Kendall tau-b" in (tmp_path / "agreement.md").read_text()
    assert "is no published model" in call("analysis", "compare", "smpler_x_s", "resnet", code=2).stderr
    call("analysis", "compare", "smpler_x_s", code=2)


def test_published_tables_are_shown_with_sources_and_arithmetic(tmp_path: Path) -> None:
    assert {row["table"] for row in data("analysis", "published")} >= {"agora_test", "ubody"}
    result = call("analysis", "published", "agora_test", "--out", tmp_path / "agora.csv")
    assert "AiOS paper (CVPR 2024)" in result.stdout
    assert "disagrees: mpjpe_fb of SMPLer-X-L20, printed 119.9, but" in result.stderr
    assert "source" in pd.read_csv(tmp_path / "agora.csv")


def test_broken_runs_are_named_and_strict_makes_them_an_error(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(runs, folder)
    first = sorted(folder.rglob("metrics.json"))[0]
    first.write_text("{")
    (folder / "nothing").mkdir()
    result = call("analysis", "rank", "--results", folder)
    assert f"left out: {first.parent.relative_to(folder)}, metrics.json is no JSON" in result.stderr
    assert "left out: nothing, it is empty" in result.stderr
    assert len(data("analysis", "rank", "--results", folder)) == len(LEVELS) - 1
    for command in ("rank", "factors"):
        call("analysis", command, "--results", folder, "--strict", code=1)
    for path in folder.rglob("metrics.json"):
        path.unlink()
    for command in ("rank", "factors"):
        assert "ehps benchmark run" in call("analysis", command, "--results", folder, code=1).stderr
