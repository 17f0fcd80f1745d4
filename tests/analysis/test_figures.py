import json
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patheffects import Stroke
from PIL import Image

from ehps.analysis import curves, figures, published, rank_factors
from ehps.analysis.colours import MARK_CONTRAST, TEXT_CONTRAST, contrast
from ehps.analysis.ranking import rank
from ehps.errors import DataError, UsageError

COLUMNS = ["train_set", "test_set", "model", "protocol", "part", "metric", "value", "n"]
CELLS = [
    (t, "body", "MPJPE") if t == "pw3d" else (t, "all", "PVE") for t in ("agora", "ubody", "egobody_ego", "pw3d", "ehf")
]


def ranked():
    rows = [
        (train, test, "tiny", "p", part, metric, value, 9)
        for train, values in {"agora": [1.0, 2, 3, 4, 5], "ehf": [2.0, 4, np.nan, 8, 10]}.items()
        for (test, part, metric), value in zip(CELLS, values, strict=True)
    ]
    return rank(
        pd.DataFrame(rows, columns=["train_set", "test_set", "model", "protocol", "part", "metric", "value", "n"])
    )


def test_every_known_dataset_looks_different_and_the_same_everywhere():
    known = list(published.dataset_names())
    looks = {(s.colour, s.marker) for s in map(figures.style, known)}
    assert len(looks) == len(known) == 33
    assert figures.style("ehf (test)") == figures.style("ehf")
    assert figures.style("my_own_set") == figures.style("my_own_set")


def test_the_heat_map_shows_each_number_and_frames_own_test_sets():
    (axes,) = figures.heat_map(ranked()).axes
    assert [t.get_text() for t in axes.texts] == ["1.0", "2.0", "3.0", "4.0", "5.0", "2.0", "4.0", "–", "8.0", "10.0"]
    assert sorted((round(p.get_x() + 0.47), round(p.get_y() + 0.44)) for p in axes.patches) == [(0, 0), (4, 1)]


def test_frames_have_a_ring_that_is_seen_in_grey():
    frames = figures.heat_map(ranked()).axes[0].patches
    assert len(frames) == 2
    for frame in frames:
        assert any(isinstance(effect, Stroke) for effect in frame.get_path_effects())
        assert contrast("#ffffff", to_hex(frame.get_edgecolor())) >= MARK_CONTRAST


def test_numbers_on_shaded_cells_can_be_read():
    (axes,) = figures.heat_map(ranked()).axes
    colours_of = axes.images[0].cmap(axes.images[0].get_array().filled(np.nan).ravel())
    for text, cell in zip(axes.texts, colours_of, strict=True):
        if text.get_text() != "–":
            assert contrast(text.get_color(), to_hex(cell)) >= TEXT_CONTRAST


def test_figures_that_are_saved_alone_say_what_they_show(tmp_path):
    frame = ranked().assign(mpe_low=2.0, mpe_high=4.0, instances=[20, 3000])
    looks = pd.DataFrame({"appearance": ["real", "synthetic"]}, index=["agora", "ehf"])
    training = pd.DataFrame(
        [(run, step, "loss", 5.0 - step) for run in ("agora", "ehf") for step in (1, 2)],
        columns=["run", "step", "name", "value"],
    )
    shown = {
        "heat": (figures.heat_map(frame), "AGORA has the lowest error on 5 of 5 benchmarks", "mm, lower is better"),
        "intervals": (figures.intervals(frame), "AGORA has 3.0 mm mean primary error", "Mean of AGORA PVE"),
        "factors": (rank_factors.figure(frame, looks), "Rank and number of training instances", "lowest mean"),
        "curves": (curves.figure(training), "the loss fell in all 2 runs", "lower is better"),
    }
    for name, (drawn, title, note) in shown.items():
        text = figures.save(drawn, tmp_path / f"{name}.svg").read_text()
        words = " ".join(re.sub("<[^>]*>", " ", text).split())
        assert title in words, name
        assert note in words, name
    (axes,) = shown["intervals"][0].axes
    assert axes.get_xlabel() == "mean primary error, mm (lower is better)"


def test_thirty_curves_are_grey_behind_the_few_that_are_named():
    training = pd.DataFrame(
        [(f"set{i}", step, "loss", 5.0 - step) for i in range(30) for step in (1, 2)],
        columns=["run", "step", "name", "value"],
    )
    drawn = curves.figure(training, highlight=["set7", "set9"])
    (axes,) = drawn.axes
    assert [line.get_color() for line in axes.lines].count(figures.GREY) == 28
    assert sorted(text.get_text() for text in drawn.legends[0].get_texts()) == ["set7", "set9"]
    assert "the other 28 runs" in drawn.get_supxlabel()


def test_intervals_show_ranked_sets_only():
    frame = ranked().assign(mpe_low=2.0, mpe_high=4.0)
    (axes,) = figures.intervals(frame).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["AGORA"]
    span, dot = axes.lines
    assert span.get_xdata().tolist() == [2.0, 4.0]
    assert list(dot.get_xdata()) == [3.0]


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_saved_figures_repeat_byte_for_byte(tmp_path, suffix):
    first = figures.save(figures.heat_map(ranked()), tmp_path / f"a.{suffix}").read_bytes()
    assert first == figures.save(figures.heat_map(ranked()), tmp_path / f"b.{suffix}").read_bytes()
    if suffix == "png":
        assert Image.open(tmp_path / "a.png").convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.png, \.pdf or \.svg"):
        figures.save(figures.heat_map(ranked()), tmp_path / "a.bmp")


def test_figures_leave_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    figures.inline_svg(figures.heat_map(ranked()), "x")
    assert dict(matplotlib.rcParams) == before


def test_inline_figures_follow_the_page():
    text, title, note = figures.inline_svg(figures.heat_map(ranked()), "here")
    assert text.startswith('<svg role="img" aria-labelledby="here-title here-desc"')
    assert title == "AGORA has the lowest error on 5 of 5 benchmarks"
    assert "mm, lower is better" in note
    assert f'<title id="here-title">{title}</title><desc id="here-desc">{note}</desc>' in text
    assert text.count(title) == 1  # the page shows it above the figure
    assert figures.INK not in text
    assert "currentColor" in text
    assert ' width="' not in text[: text.index(">")]
    assert "viewBox" in text
    assert 'id="here-' in text
    assert "EgoBody PVE" in text


def test_images_become_addresses(tmp_path):
    wide = np.zeros((10, 400, 3), np.uint8)
    assert figures.data_uri(wide, width=100).startswith("data:image/jpeg;base64,")
    (tmp_path / "no.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"no\.png"):
        figures.data_uri(tmp_path / "no.png")


def test_curves_are_read_from_the_logs_of_runs(tmp_path):
    for folder, train_set in (("one", "bedlam"), ("two", "mscoco")):
        (tmp_path / folder).mkdir()
        lines = [{"step": s, "loss": 10.0 / s, "lr": 1e-5} for s in (10, 20)]
        (tmp_path / folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (tmp_path / folder / "manifest.json").write_text(json.dumps({"train_set": train_set}))
    frame = curves.read_curves(tmp_path)
    assert sorted(set(frame["run"])) == ["bedlam", "mscoco"]
    assert frame[(frame["run"] == "bedlam") & (frame["name"] == "loss")]["value"].tolist() == [1.0, 0.5]
    (axes,) = curves.figure(frame).axes
    assert axes.get_title(loc="left") == "loss"
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1.0, 0.5], [1.0, 0.5]]
    assert len({line.get_color() for line in axes.lines}) == 2


def test_damaged_and_absent_logs_are_named(tmp_path):
    with pytest.raises(DataError, match=r"train\.jsonl"):
        curves.read_curves(tmp_path)
    (tmp_path / "train.jsonl").write_text('{"loss": 1}\n')
    with pytest.raises(DataError, match="training log"):
        curves.read_curves(tmp_path)
    (tmp_path / "train.jsonl").write_text('{"step": 1, "loss": 1}\n{"st\n{"step": 3, "loss": 1}\n')
    with pytest.raises(DataError, match=r"train\.jsonl: line 2 is no JSON"):
        curves.read_curves(tmp_path)
    (tmp_path / "train.jsonl").write_text('{"step": 1, "loss": 1}\n{"st')  # killed while it wrote
    assert curves.read_curves(tmp_path)["step"].tolist() == [1]
