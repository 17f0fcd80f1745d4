import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pandas as pd
import pytest

from ehps.analysis import attributes, published, report_conversions
from ehps.analysis.benchmarks import MPE_BENCHMARKS
from ehps.analysis.comparison import compare
from ehps.analysis.html_report import ReportInputs, content, report, summary
from ehps.analysis.ranking import rank
from ehps.analysis.report_inputs import Video
from ehps.analysis.report_sections import parts
from ehps.analysis.selection import select
from ehps.analysis.worst_cases import Case
from ehps.errors import DataError
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport

SETS = {"bedlam": 80.0, "mscoco": 92.0, "h36m": 140.0, "agora": 150.0}
SECTIONS = "ranking parts cases factors embedding coverage selection conversions training overlays protocols manifests"


class Page(HTMLParser):
    """Ids, everything a browser would load, and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.loaded, self.words, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "link", "br", "input"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                self.loaded.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def results():
    rows = []
    for train_set, mean in SETS.items():
        for i, test_set in enumerate(("agora", "ubody", "egobody_ego", "pw3d", "ehf")):
            metric, part = ("MPJPE", "body") if test_set == "pw3d" else ("PVE", "all")
            rows.append((train_set, test_set, "tiny", f"{test_set}-v1", part, metric, mean + 4.0 * (i - 2), 100 + i))
            if part == "all":
                rows.append((train_set, test_set, "tiny", f"{test_set}-v1", "hand", "PVE", mean / 2, 100 + i))
    frame = pd.DataFrame(rows, columns=["train_set", "test_set", "model", "protocol", "part", "metric", "value", "n"])
    frame.attrs["protocols"] = {"ehf-v1": {"truth": "given <vertices>"}}
    return frame


def errors(frame):
    noise = np.random.default_rng(0).normal(0, 10, 20)
    noise -= noise.mean()
    parts = [
        pd.DataFrame({**row._asdict(), "value": row.value + noise, "sequence": np.repeat(list("abcde"), 4)})
        for row in frame.itertuples(index=False)
    ]
    return pd.concat(parts, ignore_index=True)


def people(name, seed):
    rng = np.random.default_rng(seed)
    columns = {f"smplx/{k}": rng.normal(0, 0.5, s) for k, s in {"global_orient": (30, 3), "betas": (30, 10)}.items()}
    return HumanData(columns, passport=Passport(body_model="smplx", dataset=name, gender="neutral"))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What fills every section; read-only."""
    tmp_path = tmp_path_factory.mktemp("inputs")
    ranked = rank(results(), errors(results()), bootstrap=100)
    looks = pd.DataFrame(
        {"instances": [951_066, 149_813, 312_188, 198_639], "appearance": ["synthetic", "real", "real", "synthetic"]},
        index=list(SETS),
    )
    sources = [people("bedlam", 1), people("mscoco", 2), attributes.Source(people("ehf", 3), "test")]
    samples = attributes.collect(sources, attributes=["global_orient", "betas", "image"])
    conversion = tmp_path / "bedlam.json"
    conversion.write_text(
        json.dumps(
            {
                "dataset": "bedlam",
                "split": "train",
                "found": 12_345,
                "written": 12_340,
                "published": None,
                "dropped": {"image <missing>": {"count": 5, "names": ["a"]}},
                "quality": {"reprojection_px": {"p50": 1.25, "p99": 7.75, "max": 31.0}, "rows": 12_340},
                "problems": ["joints behind the camera"],
            }
        )
    )
    image = tmp_path / "overlay.png"
    cv2.imwrite(str(image), np.full((40, 60, 3), 128, np.uint8))
    training = pd.DataFrame(
        [("bedlam", s, "loss", 1 / (s + 1)) for s in range(5)], columns=["run", "step", "name", "value"]
    )
    return ReportInputs(
        ranked=ranked,
        comparison=compare(ranked, published.single_dataset_ranks()),
        results=results(),
        errors=errors(results()),
        attributes=looks,
        samples=samples,
        embeddings={name: attributes.embed(samples, name, method="pca") for name in samples.values},
        selection=select(ranked, looks["instances"].to_dict(), 1000, sets=2),
        conversions=[conversion],
        training=training,
        cases=[
            Case("EHF PVE", "bedlam", "tiny", "median", 3, "a/<b>.jpg", "", 61.4, *2 * [np.zeros((4, 4, 3), np.uint8)]),
            Case("EHF PVE", "bedlam", "tiny", "worst", 5, "a/c.jpg", "", 261.4, fault="no such image"),
        ],
        overlays=[("BEDLAM, row 3", image), ("an array", np.zeros((4, 4, 3), np.uint8))],
        manifests={"bedlam run": {"seed": 17, "weights": "abc"}},
        notes=["Made on generated <data>."],
    )


@pytest.fixture(scope="module")
def written(inputs, tmp_path_factory):
    """The text of the page with every section."""
    return report(inputs, tmp_path_factory.mktemp("page") / "report.html").read_text()


def test_hands_are_ranked_as_surely_as_the_whole_body(inputs):
    found = parts(inputs)["Hands"]
    table = found["table"]
    assert [column.head for column in table.columns[3:7]] == ["Group", "PVE 95 %", "Rank 95 %", "Clusters"]
    assert [row[6].text for row in table.rows] == ["5 each"] * 4
    assert [row[3].text for row in table.rows] == list("abcd")
    assert "sequences (AGORA 5, UBody 5, EgoBody 5, EHF 5)" in found["note"]
    assert table.rows[0][4].strip.left is not None
    known = inputs.errors
    of_ubody = known["test_set"].eq("ubody") & known["part"].eq("hand")
    without = parts(replace(inputs, errors=known[~of_ubody]))["Hands"]
    assert without["note"] == "No interval: there are no errors of instances of UBody."
    assert "Group" not in [column.head for column in without["table"].columns]
    some = parts(replace(inputs, errors=known[~(of_ubody & known["train_set"].eq("mscoco"))]))["Hands"]
    assert "No interval of MSCOCO: errors of instances are missing, or too few." in some["note"]
    assert parts(replace(inputs, errors=None))["Hands"]["note"] == "No intervals: errors of instances are not known."


def test_the_page_has_every_section_and_says_what_is_in_it(written):
    page = Page(written)
    assert page.open == []
    for section in [*SECTIONS.split(), "versions"]:
        assert section in page.ids
    for words in (
        "BEDLAM is best: 80.0 mm mean primary error, 12.0 mm before MSCOCO (95 %:",
        "Each set was trained once (one seed)",
        "Made on generated <data>.",
        "2 datasets shared with the published ranking",
        "12,345",
        "instances left out: image <missing>",
        "1.2 7.8 31.0",
        "Hands BEDLAM is best: 40.0 mm mean primary error, 6.0 mm before MSCOCO (95 %:",
        "Its rank by the whole body is 1.",
        "Truth and prediction Of BEDLAM, tiny.",
        "1 not drawn: no such image",
        "joints behind the camera",
        "Global orientation (PCA)",
        "no image folder given",
        "one in 190",
        '"seed": 17',
        "given <vertices>",
        "ehf-v1",
        "Intervals: Student's t on clusters of the test data: sequences",
    ):
        assert words in page.text, words
    assert "Not in this report" not in page.text


def test_the_page_loads_nothing_from_elsewhere(written):
    page = Page(written)
    assert page.loaded
    own = ("#", "data:,", "data:image/jpeg;base64,", "data:image/png;base64,", "data:text/csv;charset=utf-8;base64,")
    assert all(address.startswith(own) for address in page.loaded)
    assert sum(address.startswith("data:image/jpeg") for address in page.loaded) == 4
    assert len(page.ids) == len(set(page.ids))
    inside = {address[1:] for address in page.loaded if address.startswith("#")}
    assert inside <= set(page.ids)
    css_addresses = re.findall(r"url\(([^)]*)\)", written)
    assert css_addresses
    assert all(address.strip("'\"").startswith(("#", "data:")) for address in css_addresses)
    assert "@import" not in written


def test_equal_inputs_give_equal_pages(inputs, written, tmp_path):
    assert report(inputs, tmp_path / "again.html").read_text() == written


def test_bars_stand_where_the_numbers_are(inputs, written):
    shown = written[written.index('id="ranking"') : written.index('id="parts"')]
    dots = [float(x) for x in re.findall(r'class="dot" style="left:([\d.]+)%', shown)]
    spans = re.findall(r'class="span" style="left:([\d.]+)%;width:([\d.]+)%', shown)
    spans = [(float(left), float(width)) for left, width in spans]
    mpe = inputs.ranked["mpe"].to_numpy()
    np.testing.assert_allclose(np.diff(dots) / np.diff(mpe), (dots[-1] - dots[0]) / (mpe[-1] - mpe[0]), rtol=1e-3)
    width = inputs.ranked["mpe_high"] - inputs.ranked["mpe_low"]
    np.testing.assert_allclose([w for _, w in spans], width * (dots[-1] - dots[0]) / (mpe[-1] - mpe[0]), rtol=1e-2)
    (scale,) = [c.scale for c in content(ReportInputs(ranked=inputs.ranked))["ranking"]["table"].columns if c.scale]
    low, high = map(float, scale)
    np.testing.assert_allclose(dots, 100 * (mpe - low) / (high - low), atol=1.5)
    assert all(left < dot < left + w for dot, (left, w) in zip(dots, spans, strict=True))


def test_what_is_not_given_is_said(tmp_path):
    page = Page(report(ReportInputs(title="Empty"), tmp_path / "report.html").read_text())
    assert not set(SECTIONS.split()) & set(page.ids)
    assert "Not in this report, because not given: ranking, hands and face" in page.text


def test_a_missing_benchmark_is_named_and_not_ranked(tmp_path):
    cells = results()
    cells = cells[~((cells["train_set"] == "bedlam") & (cells["test_set"] == "ehf"))]
    inputs = ReportInputs(ranked=rank(cells))
    assert "Without a rank, because a benchmark is missing: BEDLAM." in summary(inputs)
    page = Page(report(inputs, tmp_path / "report.html").read_text())
    assert re.search(r"Missing .* BEDLAM – .* EHF", page.text)
    assert "MSCOCO has the lowest" in page.text


def test_a_published_ranking_alone_makes_a_page(tmp_path):
    ranks = published.single_dataset_ranks()
    looks = pd.DataFrame({"appearance": ["real", "synthetic"]}, index=["ssp3d", "renbody"])
    page = Page(report(ReportInputs(ranked=ranks, attributes=looks), tmp_path / "report.html").read_text())
    assert "A ranking of 15 training sets, without the errors behind it. 8 of the names are inferred" in page.text
    assert "32 SSP3D 311 confirmed" in page.text
    assert "25 DNA-Rendering 3,999,600 inferred" in page.text
    assert "16 ranks in between" in page.text
    assert "factors" in page.ids
    assert re.search(r"Left out: .*MSCOCO: nothing is known about it", page.text)
    assert "benchmarks" not in page.ids


def test_training_sets_that_are_no_datasets_make_a_page_without_attributes(tmp_path):
    looks = pd.DataFrame({"appearance": ["real"]}, index=["ssp3d"])
    inputs = ReportInputs(ranked=rank(results()).assign(train_set="mix"), attributes=looks)
    page = Page(report(inputs, tmp_path / "report.html").read_text())
    assert "ranking" in page.ids
    assert "factors" not in page.ids


def test_other_benchmarks_are_not_called_comparable():
    ranked = rank(results(), benchmarks=MPE_BENCHMARKS[:2])
    assert summary(ReportInputs(ranked=ranked))[-1].endswith("Not comparable with published ones.")
    assert not summary(ReportInputs(ranked=rank(results())))[-1].endswith("published ones.")


def test_a_damaged_conversion_report_is_refused_by_name(tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(DataError, match=r"broken\.json"):
        report(ReportInputs(conversions=[broken]), tmp_path / "report.html")


def test_importing_analysis_imports_nothing_heavy():
    code = (
        "import sys, ehps.analysis\n"
        "from ehps.analysis import published, ranking, selection, tables\n"
        "print([m for m in ('umap', 'matplotlib', 'torch', 'cv2', 'jinja2', 'numba') if m in sys.modules])\n"
        "import ehps.analysis.html_report\n"
        "print([m for m in ('umap', 'matplotlib.pyplot', 'torch', 'numba') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split("\n")[:2] == ["[]", "[]"]


def test_reports_of_conversions_from_before_quality_had_its_name_are_shown():
    entry = {"dataset": "bedlam", "certificate": {"two_routes_m": {"p50": 0.000001, "p99": 0.000002, "max": 0.000003}}}
    (row,) = report_conversions.conversions(ReportInputs(conversions=[entry]))["measured"].rows
    texts = [cell.text for cell in row[2:]]
    assert texts == ["Moved parameters against moved joints, m", "0.000001", "0.000002", "0.000003"]


def test_a_video_is_shown_by_some_of_its_frames_and_linked(tmp_path):
    frame = np.full((9, 16, 3), 90, np.uint8)
    seen = Video(["Two people <cross>."], [(0.0, frame), (1.25, frame)], "video/overlay.mp4")
    text = report(ReportInputs(video=seen), tmp_path / "report.html").read_text()
    page = Page(text)
    assert "Two people <cross>. 0.0 s 1.2 s" in page.text
    assert "video/overlay.mp4" in page.loaded
    assert sum(address.startswith("data:image/jpeg") for address in page.loaded) == 2
    assert "#video" not in Page(report(ReportInputs(), tmp_path / "without.html").read_text()).loaded
