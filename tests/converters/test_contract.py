"""What every converter must do, asked of each one with the raw tree of ``tests/raw/fixtures.py``."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters import layout, registry
from ehps.converters.disk_survey import survey
from ehps.converters.pipeline.completion import Completed
from ehps.converters.pipeline.conversion_request import key_of, request_of
from ehps.converters.pipeline.parts import BadUnit
from ehps.converters.pipeline.workers import Job
from ehps.errors import BodyModelError, DataError, EhpsError, UsageError
from ehps.humandata.audit import audit
from tests.raw.checks import replace, truncate
from tests.raw.faults import Fault, millimetres
from tests.raw.fixtures import FIXTURES, Fixture
from tests.raw.trees import Raw, attempted, completed, converter_of, read, run

DATASETS = [card.id for card in registry.cards() if registry.available(card.id)]
IMAGES = {".jpg", ".jpeg", ".png"}
PICKLES = {".pkl", ".pt"}
CODE = b"cos\nsystem\n(S'false'\ntR."
NO_CHOICE = "no/such"


def test_every_converter_has_a_raw_tree() -> None:
    assert sorted(FIXTURES) == DATASETS


@pytest.fixture(params=DATASETS)
def raw(request: pytest.FixtureRequest, raw_trees: Callable[[str], Raw]) -> Raw:
    return raw_trees(request.param)


@pytest.fixture
def with_images(raw: Raw) -> Raw:
    """Datasets whose images are files; of others frames are cut out of videos or archives."""
    hd, _ = raw.converted()
    if not (raw.root / hd["image_path"][0]).is_file():
        assert hasattr(registry.converter(raw.dataset), "extract_frames")
        pytest.skip("frames are extracted")
    return raw


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.h5"


# -- what is given --------------------------------------------------------------------------------------------


def test_a_folder_without_the_dataset_is_told_all_that_is_missing(raw: Raw, tmp_path: Path, out: Path) -> None:
    empty = tmp_path / "a/b/c"
    empty.mkdir(parents=True)
    card = registry.card(raw.dataset)
    for split in card.splits:
        with pytest.raises(DataError) as error:
            run(raw.dataset, empty, out, None, split=split)
        assert layout.needs(card, split)
        assert all(need in str(error.value) for need in layout.needs(card, split))
        assert str(empty) in str(error.value)


def test_the_folder_above_is_told_where_the_dataset_is(raw: Raw, out: Path) -> None:
    card = registry.card(raw.dataset)
    above = raw.root.parent
    if not layout.missing(card, above, card.default_split):
        pytest.skip("the dataset may lie a folder deeper")
    with pytest.raises(DataError) as error:
        run(raw.dataset, above, out, None)
    assert f"{raw.root}: give that folder" in str(error.value)


def test_another_split_is_told_those_there_are(raw: Raw, out: Path) -> None:
    with pytest.raises(UsageError, match=", ".join(registry.card(raw.dataset).splits)):
        run(raw.dataset, raw.root, out, None, split=NO_CHOICE)


def test_another_option_is_told_those_there_are(raw: Raw, out: Path) -> None:
    with pytest.raises(UsageError) as error:
        run(raw.dataset, raw.root, out, None, options={NO_CHOICE: "1"})
    assert NO_CHOICE in str(error.value)
    assert all(name in str(error.value) for name in raw.fixture.options)


def test_all_options_are_in_the_table(raw: Raw) -> None:
    named = {getattr(option, "name", option) for option in registry.card(raw.dataset).options}
    assert named == set(raw.fixture.options)


OPTIONS = [pytest.param(name, option, id=f"{name}-{option}") for name in FIXTURES for option in FIXTURES[name].options]


@pytest.mark.parametrize(("dataset", "option"), OPTIONS)
def test_another_choice_is_told_those_there_are(
    dataset: str, option: str, raw_trees: Callable[[str], Raw], out: Path
) -> None:
    raw = raw_trees(dataset)
    if option in raw.fixture.free:
        pytest.skip("any value may be right")
    with pytest.raises(UsageError, match=NO_CHOICE):
        run(dataset, raw.root, out, None, options={option: NO_CHOICE})
    assert not out.exists()


@pytest.mark.parametrize(("dataset", "option"), OPTIONS)
def test_a_choice_changes_what_is_read(dataset: str, option: str, raw_trees: Callable[[str], Raw]) -> None:
    raw = raw_trees(dataset)
    choice = raw.fixture.options[option]
    if choice is None:
        pytest.skip("takes more files than there are")
    assert not same(read(dataset, raw.root, **{option: choice}), raw.rows)


def same(a: Any, b: Any) -> bool:
    """Whether two values of rows, or rows, are equal in all that they hold."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def test_every_file_that_is_opened_is_recorded(raw: Raw) -> None:
    assert raw.rows
    annotations = {name for name in raw.opened if Path(name).suffix.lower() not in IMAGES}
    assert annotations - raw.recorded.files.keys() == set()


def test_every_folder_that_a_unit_lists_is_recorded(raw: Raw) -> None:
    assert raw.rows
    of_images = {str(path.parent) for path in raw.root.rglob("*") if path.suffix.lower() in IMAGES}
    assert raw.listed - of_images - raw.recorded.files.keys() == set()


# -- what is written ------------------------------------------------------------------------------------------


def test_everybody_is_written_or_left_out_by_a_reason(raw: Raw) -> None:
    hd, report = raw.converted()
    assert (report.found, report.written) == (raw.fixture.found, raw.fixture.written)
    assert report.found == report.written + sum(len(names) for names in report.dropped.values())
    assert all(name for names in report.dropped.values() for name in names)
    assert len(hd) == report.written
    assert (report.bad, report.problems) == ([], [])
    assert hd.validate() == []
    card = registry.card(raw.dataset)
    assert (hd.passport.dataset, hd.passport.split) == (card.id, card.default_split)
    assert report.published == card.splits[card.default_split]


def test_the_scale_of_the_boxes_is_that_by_which_they_were_enlarged(raw: Raw) -> None:
    hd, _ = raw.converted()
    own = [rows.bbox[:, :4] for rows in raw.rows if rows.bbox is not None]
    if own:
        theirs = np.concatenate(own)
    else:
        points = hd[hd.misc["bbox_source"]].astype(float)
        seen = points[..., 2:] > 0
        low = np.where(seen, points[..., :2], np.inf).min(axis=1)
        high = np.where(seen, points[..., :2], -np.inf).max(axis=1)
        theirs = np.column_stack([low, high - low])
    scale = hd.misc["bbox_body_scale"]
    made = np.column_stack([theirs[:, :2] - (scale - 1) / 2 * theirs[:, 2:], scale * theirs[:, 2:]])
    box = hd["bbox_xywh"][:, :4].astype(float)
    far = box[:, :2] + box[:, 2:]
    whole = (box[:, :2] > 1).all(1) & (far[:, 0] < hd["meta/width"] - 1) & (far[:, 1] < hd["meta/height"] - 1)
    assert whole.any()
    assert np.abs(box[whole, None] - made).max(axis=2).min(axis=1).max() < 0.01


def test_an_audit_raises_no_false_alarm(raw: Raw) -> None:
    hd, _ = raw.converted()
    found = audit(hd, raw.root if (raw.root / hd["image_path"][0]).is_file() else None)
    assert found.flagged == []
    own = any(name in hd for name in ("keypoints2d_original", "keypoints2d"))
    assert ("points_in_box" in found.counts) == own


def test_another_process_finds_the_same_units_and_reads_the_same_rows_in_any_order(raw: Raw) -> None:
    converter = converter_of(raw.dataset, raw.root)
    units = converter.units()
    carried, theirs = pickle.loads(pickle.dumps((converter, units)))  # as to the processes of several jobs
    assert [unit.name for unit in carried.units()] == [unit.name for unit in units]
    assert key_of(request_of(Job(carried), carried.units())) == key_of(request_of(Job(converter), units))
    with ThreadPoolExecutor(2) as threads:
        rows = list(threads.map(carried.read, reversed(theirs)))
    assert same(rows[::-1], raw.rows)


def test_without_body_models_it_is_said_what_is_absent(raw: Raw) -> None:
    hd, report = raw.without_models()
    assert report.found == raw.fixture.found
    assert hd.validate() == []
    assert report.problems == []
    model_type = raw.converted()[0].body_model
    if model_type is None:  # meshes have joints of their own
        return
    joints = {f"keypoints2d_{model_type}", f"keypoints3d_{model_type}"}
    assert joints <= set(report.absent)
    assert not joints & set(hd.columns)
    assert any("body models" in why for why in report.absent.values())


@pytest.fixture(scope="module")
def models_without(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Callable[[str, str], Path]:
    """A folder of the models of one type but those of a gender."""

    @cache
    def make(model_type: str, gender: str) -> Path:
        folder = tmp_path_factory.mktemp("models")
        (folder / model_type).mkdir()
        for path in (body_models / model_type).iterdir():
            if not path.stem.endswith(f"_{gender.upper()}"):
                (folder / model_type / path.name).symlink_to(path)
        return folder

    return make


def test_a_missing_body_model_is_named(raw: Raw, models_without: Callable[[str, str], Path]) -> None:
    hd, _ = raw.converted()
    if hd.body_model is None:
        pytest.skip("no body is fitted")
    gender = min(hd["meta/gender"].tolist())
    lacking = "no SMPL-X model of the locked-head" if registry.card(raw.dataset).locked_head else f"no {gender} "
    models = models_without(hd.body_model, gender)
    with pytest.raises(BodyModelError, match=lacking):
        completed(raw.dataset, raw.root, raw.rows, models)


# -- what is missing or broken --------------------------------------------------------------------------------


def test_a_missing_image_costs_its_people(with_images: Raw, tmp_path: Path) -> None:
    raw, root = with_images, with_images.linked(tmp_path)
    before = raw.without_models()[0]["image_path"].tolist()
    (root / before[0]).unlink()
    rows = read(raw.dataset, root)
    units = completed(raw.dataset, root, rows)
    after = [path for unit in units if unit.data is not None for path in unit.data["image_path"].tolist()]
    dropped = [unit.account.dropped for unit in units]
    assert before[0] not in after
    assert sum(unit.found for unit in units) == raw.fixture.found
    assert raw.fixture.found == len(after) + sum(len(names) for reasons in dropped for names in reasons.values())
    if raw.fixture.by_image:
        return
    assert after == [path for path in before if path != before[0]]
    assert sum(len(reasons.get("image missing", ())) for reasons in dropped) >= before.count(before[0])
    with pytest.raises(DataError, match="images are missing"):
        completed(raw.dataset, root, rows, strict_images=True)


def test_without_any_image_there_are_no_rows(with_images: Raw, tmp_path: Path) -> None:
    card = registry.card(with_images.dataset)
    if hasattr(registry.converter(card.id)(with_images.root, card.default_split), "extract_frames"):
        pytest.skip("frames may come later")
    root = with_images.linked(tmp_path)
    for path in root.rglob("*"):
        if path.suffix in {*IMAGES, ".zip"}:
            path.unlink()
    units = attempted(card.id, root)
    assert units
    assert all("missing: " in unit.why if isinstance(unit, BadUnit) else not unit.data for unit in units)


def parameters(values: Callable[[Fixture], Sequence[Any]]) -> list[Any]:
    """(dataset, value) for each of the ``values`` of each fixture."""
    return [
        pytest.param(name, value, id=f"{name}-{value if isinstance(value, str) else value[0].__name__}")
        for name, fixture in FIXTURES.items()
        for value in values(fixture)
    ]


@pytest.mark.parametrize(("dataset", "pattern"), parameters(lambda fixture: fixture.broken))
def test_half_a_file_is_named_and_costs_its_rows_or_its_unit(
    dataset: str, pattern: str, raw_trees: Callable[[str], Raw], tmp_path: Path
) -> None:
    raw = raw_trees(dataset)
    root = raw.linked(tmp_path)
    path = sorted(root.glob(pattern))[0]
    truncate(path)
    units = attempted(dataset, root)
    bad = [unit for unit in units if isinstance(unit, BadUnit)]
    done = [unit for unit in units if isinstance(unit, Completed)]
    written = sum(len(unit.data) for unit in done if unit.data is not None)
    if bad:
        assert any(path.name in f"{unit.path} {unit.why}" for unit in bad)
        assert (written > 0) == bool(done)
        assert written <= raw.fixture.written
        return
    name = f"{path.relative_to(root)}: "  # one of many, of a frame or person each
    dropped = [reasons for unit in done for reasons in unit.account.dropped.items()]
    reasons = {reason for reason, names in dropped if name in " ".join(names)}
    assert len(reasons) == 1
    assert "cannot be read" in reasons.pop()
    assert 0 < written < raw.without_models()[1].written


def test_code_in_a_pickle_is_not_run(raw: Raw, tmp_path: Path, out: Path) -> None:
    if not any(path.suffix in PICKLES for path in raw.root.rglob("*")):
        pytest.skip("nothing is pickled")
    root = raw.linked(tmp_path)
    for path in root.rglob("*"):
        if path.suffix in PICKLES:
            replace(path, CODE)
    with pytest.raises(EhpsError, match=r"asks for os\.system; nothing was run"):
        run(raw.dataset, root, out, None)
    assert not out.exists()


# -- what is read wrongly -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "fault"), parameters(lambda fixture: fixture.faults))
def test_quality_exposes(dataset: str, fault: tuple[Fault, str], raw_trees: Callable[[str], Raw]) -> None:
    mistake, words = fault
    assert words in " ".join(raw_trees(dataset).problems(mistake))


def test_millimetres_are_refused(raw: Raw) -> None:
    if not raw.fixture.metric:
        pytest.skip("places are not read")
    with pytest.raises(DataError, match="not metres"):
        raw.problems(millimetres)


# -- what lies in another folder --------------------------------------------------------------------------------


def test_images_one_folder_too_deep_are_told_where_they_are(with_images: Raw, tmp_path: Path) -> None:
    raw, root = with_images, with_images.linked(tmp_path)
    card, path = registry.card(raw.dataset), raw.without_models()[0]["image_path"][0]
    top, _, rest = path.partition("/")
    if not rest:
        pytest.skip("images lie in the root")
    (root / top).rename(root / "aside")
    (root / top).mkdir()
    (root / "aside").rename(root / top / top)
    if layout.missing(card, root, card.default_split):
        with pytest.raises(DataError, match=f"{top}/{top}|complete in {re.escape(str(root / top))}: give that folder"):
            layout.check(card, root, card.default_split)
    else:
        assert layout.misplaced(root, path) == root / top / path
    found = next(finding for finding in survey(root, depth=1) if finding.card == card)
    whole_elsewhere = found.folder == root / top
    assert found.state != "found" or whole_elsewhere or f"{top}/{top}" in found.note
