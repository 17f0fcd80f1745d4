"""Bad input at the command line: one sentence with file, fault and remedy, no traceback, nothing overwritten."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ehps import atomic
from ehps.cli import main
from ehps.demo.raw import bedlam
from ehps.demo.raw.stage import Look
from ehps.humandata import HumanData
from tests.raw import mscoco
from tests.raw.checks import truncate
from tests.raw.walks import ROWS, SEQUENCES, edited_sequence, sequence, write_walks

EARLIER = b"an earlier result"


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def refused(*words: str | Path, code: int = 1, says: tuple[str, ...]) -> str:
    """Run a command that must fail: its words on the error stream, in one line that is no traceback."""
    result = call(*words)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    for piece in says:
        assert piece in lines[0], lines[0]
    return lines[0]


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    """Read-only."""
    return write_walks(tmp_path_factory.mktemp("raw") / "3DPW", body_models)


@pytest.fixture
def raw(walks: Path, tmp_path: Path) -> Path:
    """A copy of the tree that a test may damage."""
    return Path(shutil.copytree(walks, tmp_path / "3DPW"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output that is there already and must survive a failure."""
    path = tmp_path / "out.h5"
    path.write_bytes(EARLIER)
    return path


@pytest.fixture(scope="module")
def converted(walks: Path, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    path = tmp_path_factory.mktemp("converted") / "walks.h5"
    assert call("convert", "pw3d", walks, "--out", path, "--body-models", body_models).exit_code == 0
    return path


# -- folders --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw / "nothing", ("nothing: there is no such file or folder", "Give what holds the dataset")),
        (lambda raw: raw / "imageFiles", ("missing: imageFiles, sequenceFiles/train/*.pkl", "It is complete in")),
        (lambda raw: raw.parent, ("3DPW (train) is not complete here", "It is complete in")),
        (lambda raw: sequence(raw), ("is a file; 3DPW is a folder", "Unpack it")),
    ],
    ids=["absent", "too low", "too high", "a file"],
)
def test_a_wrong_folder(walks: Path, out: Path, change: Any, says: tuple[str, ...]) -> None:
    refused("convert", "pw3d", change(walks), "--out", out, "--overwrite", says=says)
    assert out.read_bytes() == EARLIER


def test_a_missing_annotation_file(raw: Path, out: Path) -> None:
    shutil.rmtree(raw / "sequenceFiles/train")
    says = (f"{raw}: 3DPW (train) is not complete here", "missing: sequenceFiles/train/*.pkl", "unpack imageFiles.zip")
    refused("convert", "pw3d", raw, "--out", out, "--overwrite", says=says)
    assert out.read_bytes() == EARLIER


# -- damaged annotation -------------------------------------------------------------------------------------------


def test_a_truncated_pickle(raw: Path, out: Path) -> None:
    truncate(sequence(raw))
    says = ("1 of 2 units could not be read", "sequenceFiles/train/downtown_00.pkl", "--skip-bad")
    refused("convert", "pw3d", raw, "--out", out, "--overwrite", says=says)
    assert out.read_bytes() == EARLIER


def test_a_truncated_json(tmp_path: Path, out: Path, body_models: Path) -> None:
    raw = mscoco.write_fixture(tmp_path / "mscoco", body_models, np.random.default_rng(5)).root
    truncate(raw / "annotations/coco_wholebody_train_v1.0.json")
    says = ("coco_wholebody_train_v1.0.json", "is not complete JSON", "ownload or unpack it again")
    refused("convert", "mscoco", raw, "--out", out, "--overwrite", says=says)
    assert out.read_bytes() == EARLIER


def test_a_truncated_npz(tmp_path: Path, out: Path, body_models: Path) -> None:
    bedlam.write(tmp_path / "B", body_models, np.random.default_rng(0), look=Look(), images=1, painted=False)
    (labels,) = (tmp_path / "B").rglob("*.npz")
    truncate(labels)
    refused(
        "convert",
        "bedlam",
        tmp_path / "B",
        "--out",
        out,
        "--overwrite",
        says=(labels.name, "only part of one", "--skip-bad"),
    )
    assert out.read_bytes() == EARLIER


def test_bad_units_are_left_out_on_request(raw: Path, out: Path) -> None:
    truncate(sequence(raw))
    result = call("convert", "pw3d", raw, "--out", out, "--overwrite", "--skip-bad")
    assert result.exit_code == 0, result.output
    assert "not read downtown_00" in result.stdout
    assert set(HumanData.open(out)["meta/sequence_name"].tolist()) == {"courtyard_00"}
    report = json.loads(out.with_name("out.h5.report.json").read_text())
    assert report["written"] == ROWS // 2
    assert [unit["path"] for unit in report["bad_units"]] == ["sequenceFiles/train/downtown_00.pkl"]


class Intruder:
    """A pickle of this writes a file when it is loaded with the pickle module."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def test_the_intruder_would_succeed_with_the_pickle_module(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Intruder(tmp_path / "marker")))
    assert (tmp_path / "marker").exists()


def test_a_pickle_that_tries_to_run_code(raw: Path, out: Path, tmp_path: Path) -> None:
    with edited_sequence(raw) as content:
        content["extra"] = Intruder(tmp_path / "marker")
    says = ("sequenceFiles/train/downtown_00.pkl", "system", "--skip-bad")
    refused("convert", "pw3d", raw, "--out", out, "--overwrite", says=says)
    assert not (tmp_path / "marker").exists()
    assert out.read_bytes() == EARLIER


@pytest.mark.parametrize("command", ["info", "validate", "audit"])
def test_a_humandata_file_that_tries_to_run_code(tmp_path: Path, command: str) -> None:
    path = tmp_path / "x.npz"
    member = np.empty((), object)
    member[()] = {"betas": np.zeros((1, 10)), "more": Intruder(tmp_path / "marker")}
    np.savez(path, image_path=np.array(["a.jpg"]), smplx=member)
    refused("humandata", command, path, says=("x.npz", "smplx", "system"))
    assert not (tmp_path / "marker").exists()


# -- damaged rows -------------------------------------------------------------------------------------------------


def test_an_absent_image_costs_its_rows_and_is_listed(raw: Path, out: Path, body_models: Path) -> None:
    gone = "imageFiles/downtown_00/image_00001.jpg"
    (raw / gone).unlink()
    refused(
        "convert",
        "pw3d",
        raw,
        "--out",
        out,
        "--overwrite",
        "--strict-images",
        says=("image_00001.jpg", "--strict-images"),
    )
    assert out.read_bytes() == EARLIER
    result = call("convert", "pw3d", raw, "--out", out, "--overwrite", "--body-models", body_models)
    assert result.exit_code == 0, result.output
    assert "dropped: image missing" in result.stdout
    assert gone not in HumanData.open(out)["image_path"].tolist()
    report = json.loads(out.with_name("out.h5.report.json").read_text())
    assert report["written"] == ROWS - 2
    assert report["dropped"]["image missing"] == {"count": 2, "names": [gone, gone]}


def test_fits_that_are_no_numbers_cost_their_rows(raw: Path, out: Path, body_models: Path) -> None:
    with edited_sequence(raw) as content:
        content["trans"][0][1, 2] = np.nan
        content["betas"][1][3] = np.inf
    result = call("convert", "pw3d", raw, "--out", out, "--overwrite", "--body-models", body_models, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["dropped"]["body parameters not finite"]["count"] == 3
    hd = HumanData.open(out)
    assert len(hd) == ROWS - 3
    assert np.isfinite(hd["smpl/transl"]).all()
    assert np.isfinite(hd["keypoints2d_smpl"]).all()


def test_nobody_in_a_sequence_is_no_error_nobody_in_a_dataset_is_one(raw: Path, out: Path) -> None:
    with edited_sequence(raw, SEQUENCES[0]) as content:
        content["campose_valid"] = [np.zeros_like(valid) for valid in content["campose_valid"]]
    result = call("convert", "pw3d", raw, "--out", out, "--overwrite")
    assert result.exit_code == 0, result.output
    assert "4  dropped: camera not aligned" in result.stdout
    before = out.read_bytes()
    with edited_sequence(raw, SEQUENCES[1]) as content:
        content["campose_valid"] = [np.zeros_like(valid) for valid in content["campose_valid"]]
    says = (str(raw), f"no instance is left of {ROWS}", f"{ROWS} camera not aligned", "another split")
    refused("convert", "pw3d", raw, "--out", out, "--overwrite", says=says)
    assert out.read_bytes() == before


# -- HumanData files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
@pytest.mark.parametrize("command", ["info", "validate", "audit"])
def test_a_truncated_humandata_file(converted: Path, tmp_path: Path, suffix: str, command: str) -> None:
    path = HumanData.open(converted).save(tmp_path / f"x{suffix}")
    truncate(path)
    refused("humandata", command, path, says=(str(path), "again"))


@pytest.mark.parametrize("content", [b"", b"hello"], ids=["empty", "text"])
@pytest.mark.parametrize("name", ["x.h5", "x.npz"])
def test_a_file_of_another_kind(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refused("humandata", "info", tmp_path / name, says=(name, "again"))


def test_an_absent_file(tmp_path: Path) -> None:
    says = ("absent.yaml: there is no such suite file",)
    refused("benchmark", "run", tmp_path / "absent.yaml", "--out", tmp_path, says=says)
    refused("humandata", "info", tmp_path / "x.h5", says=("x.h5: there is no such file", "Check the path"))
    refused("humandata", "info", tmp_path / "x.npz", says=("x.npz: there is no such file", "Check the path"))


# -- the machine ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (errno.EROFS, ("the file system is read-only", "Choose another folder")),
        (errno.ENOSPC, ("the disk is full", "Free some space")),
    ],
)
@pytest.mark.parametrize("command", ["convert", "export", "merge", "sample"])
def test_an_output_that_cannot_be_written(
    converted: Path, walks: Path, out: Path, monkeypatch: pytest.MonkeyPatch, command: str, fault: int, says: Any
) -> None:
    words: dict[str, tuple[str | Path, ...]] = {
        "convert": ("convert", "pw3d", walks),
        "export": ("humandata", "export", converted),
        "merge": ("humandata", "merge", converted),
        "sample": ("humandata", "sample", converted, "--interval", "2"),
    }

    def replace(source: Any, target: Any) -> None:
        raise OSError(fault, os.strerror(fault), source, None, target)

    monkeypatch.setattr(atomic.os, "replace", replace)
    refused(*words[command], "--out", out, "--overwrite", says=says)
    assert out.read_bytes() == EARLIER
    assert [p.name for p in out.parent.iterdir() if p.suffix == ".tmp"] == []


def test_a_table_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(EARLIER)
    refused(
        "analysis", "rank", "--out", tmp_path / "file/ranking.md", says=("ranking.md", "part of this path is a file")
    )
    assert (tmp_path / "file").read_bytes() == EARLIER


def test_body_models_without_the_gender_that_is_needed(
    walks: Path, out: Path, body_models: Path, tmp_path: Path
) -> None:
    (tmp_path / "models/smpl").mkdir(parents=True)
    (tmp_path / "models/smpl/SMPL_MALE.pkl").symlink_to(body_models / "smpl/SMPL_MALE.pkl")
    says = (str(tmp_path / "models"), "no female SMPL model", "smpl.is.tue.mpg.de", "SMPL_FEMALE")
    refused("convert", "pw3d", walks, "--out", out, "--overwrite", "--body-models", tmp_path / "models", says=says)
    assert out.read_bytes() == EARLIER


# -- wrong calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("convert pw4d RAW --out OUT", ("unknown dataset 'pw4d'", "Did you mean pw3d or up3d")),
        ("benchmark evaluate RAW FILE --protocol ehv", ("there is no protocol 'ehv'", "Did you mean ehf?")),
        ("humandata keypoints smplxx", ("'smplxx'", "Did you mean smplx")),
        ("convert pw3d RAW --out OUT.txt", ("the output is an .h5 or .npz file",)),
        ("convert pw3d RAW --overwrite --out OUT --split night", ("no split 'night'", "train, validation, test")),
        ("convert pw3d RAW --overwrite --out OUT --option colour=red", ("no option colour",)),
        ("convert pw3d RAW --overwrite --out OUT --option colour", ("'colour' is not NAME=VALUE",)),
        ("convert pw3d RAW --overwrite --out OUT --jobs 0", ("--jobs 0", "-1 for one per core")),
        ("convert pw3d RAW --overwrite --out OUT --limit 0", ("--limit 0",)),
        ("humandata info RAW", ("ends in .h5 or .npz",)),
        ("humandata sample FILE --out OUT", ("no rows are chosen", "--interval, --limit or --exclude")),
        ("humandata sample FILE --limit 99 --out OUT --overwrite", ("99 rows wanted of 8",)),
        ("humandata export FILE --out OUT.txt", ("ends in .txt, not in .h5 or .npz",)),
        ("humandata audit FILE --threshold nose=3", ("unknown limit nose", "height_max_m")),
        ("humandata audit FILE --threshold depth_max_m=far", ("'far' is not a number",)),
        ("humandata view FILE --images RAW --out images --rows 99", ("row 99 of a file of 8",)),
        ("humandata view FILE --images RAW --out images --columns nose", ("no column 'nose'",)),
        ("benchmark train FILE --out run", ("needs body models", "--body-models DIR or set EHPS_BODY_MODELS")),
        ("analysis rank --model hmr", ("no published ranks for 'hmr'", "smpler_x_s")),
        ("analysis rank --out ranking.doc", ("ranking.doc: ends in .doc, not in .md, .csv, .tex, .json or .html",)),
        ("analysis factors --figure x.gif", ("x.gif: ends in .gif, not in .png, .pdf or .svg",)),
        ("analysis report --results RAW --out report.pdf", ("report.pdf: ends in .pdf, not in .html",)),
        ("analysis attributes FILE --test FILE --figure x", ("x: does not end in .png, .pdf or .svg",)),
        (
            "analysis select FILE --budget 3 --out table.xyz",
            ("table.xyz: ends in .xyz, not in .md, .csv, .tex, .json or .html",),
        ),
        ("humandata merge FILE --out all.csv", ("all.csv: ends in .csv, not in .h5 or .npz",)),
        ("humandata sample FILE --interval 2 --out RAW", ("not end in .h5 or .npz",)),
        ("humandata convert FILE --declare split=x --out all", ("all: does not end in .h5 or .npz",)),
        ("humandata keypoints coco --figure coco.pdf", ("coco.pdf: ends in .pdf, not in .png",)),
        (
            "humandata view FILE --images RAW --out images --rows 5-12",
            ("row 12 of a file of 8, whose rows are 0 to 7",),
        ),
        ("benchmark train FILE --out run --steps ten", ("--steps is 'ten', not a whole number from 1 to",)),
        ("analysis factors --figure x.png --by colour", ("no attribute 'colour'",)),
        ("analysis attributes FILE", ("nothing to compare", "--test")),
        ("analysis attributes FILE --test FILE --save-embedding x.npz", ("of one attribute", "--attribute")),
        ("analysis attributes FILE --test FILE --place-in FILE", ("--place-in", "--figure")),
        ("analysis attributes FILE --test FILE --attribute bodypose", ("unknown attribute 'bodypose'", "body_pose")),
        ("analysis attributes FILE --test FILE --images other.h5=RAW", ("--images names other.h5",)),
        ("analysis select FILE FILE --budget 9", ("second file of pw3d",)),
    ],
)
def test_a_wrong_call_says_what_would_be_right(
    converted: Path, walks: Path, out: Path, words: str, says: tuple[str, ...]
) -> None:
    places = {"RAW": walks, "FILE": converted, "OUT": out}
    line = [str(places.get(word, word)) for word in words.split()]
    line = [word.replace("OUT.txt", str(out) + ".txt").replace("=RAW", f"={walks}") for word in line]
    result = call(*line)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for piece in says:
        assert piece in result.stderr
    assert out.read_bytes() == EARLIER


# -- as a program -----------------------------------------------------------------------------------------------


def program(*words: str | Path) -> subprocess.CompletedProcess[str]:
    code = "from ehps.cli import main; main(prog_name='ehps')"
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False)


def test_a_traceback_is_shown_only_on_request(tmp_path: Path) -> None:
    words = ("humandata", "info", tmp_path / "x.h5")
    plain, debug = program(*words), program("--debug", *words)
    assert plain.returncode == debug.returncode == 1
    assert plain.stdout == ""
    assert plain.stderr.startswith("error: ")
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert "DataError" in debug.stderr
