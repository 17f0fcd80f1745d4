"""The report as readers meet it: with a screen reader, a keyboard, a spreadsheet, in the dark; 32 training sets."""

import base64
import csv
import hashlib
import io
import re
from html.parser import HTMLParser
from itertools import pairwise

import pandas as pd
import pytest

from ehps.analysis import colours, published
from ehps.analysis.colours import MARK_CONTRAST, TEXT_CONTRAST, contrast
from ehps.analysis.html_report import ReportInputs, report
from ehps.analysis.report_tables import Look, csv_address, page_table
from tests.analysis.report_samples import report_inputs

VOID = {"meta", "img", "link", "br", "input"}
NAMES = [name for name in published.dataset_names() if name != "ehf"]
EVIL = '=cmd|"/c calc"!A1 <script>alert(1)</script>'


class Element:
    def __init__(self, tag, attrs, parent):
        self.tag, self.attrs, self.parent, self.children, self.words = tag, dict(attrs), parent, [], []

    def all(self, *tags):
        for child in self.children:
            if isinstance(child, Element):
                if not tags or child.tag in tags:
                    yield child
                yield from child.all(*tags)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(c if isinstance(c, str) else c.text for c in self.children)).strip()

    @property
    def shown(self):
        """Its text without what only screen readers read."""
        parts = (
            c if isinstance(c, str) else "" if c.attrs.get("class") == "hidden" else c.shown for c in self.children
        )
        return re.sub(r"\s+", " ", "".join(parts)).strip()

    def has(self, name):
        return name in self.attrs.get("class", "").split()


class Tree(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.root = self.at = Element("", {}, None)
        self.feed(text)
        assert self.at is self.root

    def handle_starttag(self, tag, attrs):
        element = Element(tag, attrs, self.at)
        self.at.children.append(element)
        if tag not in VOID:
            self.at = element

    def handle_startendtag(self, tag, attrs):
        self.at.children.append(Element(tag, attrs, self.at))

    def handle_endtag(self, tag):
        assert self.at.tag == tag
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.children.append(data)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page of 32 training sets; small images, few samples."""
    return report(report_inputs(NAMES, n=12), tmp_path_factory.mktemp("page") / "report.html").read_text()


@pytest.fixture(scope="module")
def page(written):
    return Tree(written).root


def tables(page):
    """Each table with the rows of the CSV beside it."""
    for holder in page.all("div"):
        if holder.has("tabled"):
            (table,), (link,) = holder.all("table"), holder.all("a")
            assert link.attrs["download"] == table.attrs["id"] + ".csv"
            content = base64.b64decode(link.attrs["href"].removeprefix("data:text/csv;charset=utf-8;base64,"))
            yield table, list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


def test_landmarks_headings_and_names_are_there(page):
    (html,) = page.all("html")
    assert html.attrs["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert len(list(page.all(landmark))) == 1
    levels = [int(element.tag[1]) for element in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [element.attrs["id"] for element in page.all() if "id" in element.attrs]
    assert len(ids) == len(set(ids))
    for element in page.all():
        for name in element.attrs.get("aria-labelledby", "").split():
            assert name in ids
    (body,) = page.all("body")
    first = next(body.all("a", "button"))
    assert first.attrs == {"class": "skip", "href": "#main"}
    assert "main" in ids


def test_every_figure_says_what_it_shows(page):
    assert all(image.attrs["alt"] for image in page.all("img"))
    drawings = list(page.all("svg"))
    for drawing in drawings:
        if drawing.attrs.get("aria-hidden") != "true":
            assert drawing.attrs["role"] == "img"
            named = drawing.attrs.get("aria-label") or [e.text for e in drawing.all("title", "desc") if e.text]
            assert named
    (factors,) = (d for d in drawings if "factors" in d.attrs.get("aria-labelledby", ""))
    title, desc = factors.all("title", "desc")
    assert title.text.startswith(("Rank does not follow the size of training sets", "Larger training sets rank"))
    assert "lowest mean primary error" in desc.text


def test_tables_have_headings_that_sort_and_scroll_inside_themselves(page):
    count = 0
    for table, _ in tables(page):
        count += 1
        region = table.parent
        assert (region.attrs["role"], region.attrs["tabindex"]) == ("region", "0")
        assert region.has("wide")
        assert region.attrs["aria-label"] == next(table.all("caption")).text
        (thead,), (tbody,) = table.all("thead"), table.all("tbody")
        heads = list(thead.all("th"))
        assert all(head.attrs["scope"] == "col" for head in heads)
        assert all(len(list(head.all("button"))) == 1 for head in heads)
        for row in tbody.all("tr"):
            (header,) = row.all("th")
            assert header.attrs["scope"] == "row"
            cells = list(row.all("td", "th"))
            assert len(cells) == len(heads)
            for head, cell in zip(heads, cells, strict=True):
                if head.has("n") and "data-v" in cell.attrs:
                    float(cell.attrs["data-v"])
        for column, head in enumerate(heads):
            if head.attrs.get("aria-sort") == "ascending":
                keys = [float(list(row.all("td", "th"))[column].attrs["data-v"]) for row in tbody.all("tr")]
                assert keys == sorted(keys)
    assert count > 10


def test_the_ranking_keeps_name_and_main_number_in_view(page):
    (table,) = (table for table, _ in tables(page) if table.attrs["id"] == "ranking-table")
    heads = list(next(table.all("thead")).all("th"))
    assert [head.text.split("9")[0] for head in heads[:3]] == ["Rank", "Training set", "MPE, mm"]
    assert [head.has("stay") for head in heads[:4]] == [True, True, True, False]
    assert heads[2].attrs["aria-sort"] == "ascending"
    assert len(list(next(table.all("tbody")).all("tr"))) == 32


def test_csv_files_hold_what_the_tables_show(page):
    for table, rows in tables(page):
        heads = [next(head.all("button")).text for head in next(table.all("thead")).all("th")]
        assert rows[0] == heads
        shown = [[cell.shown for cell in row.all("td", "th")] for row in next(table.all("tbody")).all("tr")]
        assert len(rows) - 1 == len(shown)
        for ours, theirs in zip(shown, rows[1:], strict=True):
            for text, value in zip(ours, theirs, strict=True):
                if re.fullmatch(r"-?[\d,]+(\.\d+)?", text):
                    digits = len(text.partition(".")[2])
                    assert abs(float(text.replace(",", "")) - float(value)) <= 0.5000001 * 10**-digits
                else:
                    assert (text, value) == ("–", "") or text == value


def test_cells_of_a_spreadsheet_are_no_formulas():
    frame = pd.DataFrame({"=name": ["=1+1", "@x", "+a", "-b", "\tc", "plain", "-0.25"], "value": [-1.5] * 7})
    content = base64.b64decode(csv_address(frame).partition("base64,")[2]).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(content)))
    assert rows[0] == ["'=name", "value"]
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'@x", "'+a", "'-b", "'\tc", "plain", "-0.25"]
    assert {row[1] for row in rows[1:]} == {"-1.5"}


def test_names_from_files_stay_text(tmp_path):
    inputs = report_inputs(["bedlam", "agora", EVIL], n=8)
    text = report(ReportInputs(**{**vars(inputs), "title": EVIL, "notes": [EVIL]}), tmp_path / "r.html").read_text()
    page = Tree(text).root
    (script,) = page.all("script")
    (policy,) = (m.attrs["content"] for m in page.all("meta") if "http-equiv" in m.attrs)
    digest = base64.b64encode(hashlib.sha256("".join(script.children).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not any(name.startswith("on") for element in page.all() for name in element.attrs)
    assert EVIL in next(page.all("h1")).text
    names = [row[1] for table, rows in tables(page) if table.attrs["id"] == "ranking-table" for row in rows]
    assert f"'{EVIL}" in names


def test_everything_can_be_read_in_the_light_and_in_the_dark(written):
    css = written[written.index("<style>") : written.index("</style>")]
    light, dark = css.split("prefers-color-scheme: dark", 1)
    dark = dark.split("* { box-sizing", 1)[0]
    for theme in (light, dark):
        tokens = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", theme))
        for ground in ("ground", "panel", "warn-ground"):
            for text in ("ink", "soft", "accent", "warn"):
                assert contrast(tokens[text], tokens[ground]) >= TEXT_CONTRAST, (text, ground)
            for mark in ("own", "mark", *colours.PALETTE):
                assert contrast(tokens.get(mark, mark), tokens[ground]) >= MARK_CONTRAST, (mark, ground)
        # A frame stands between two rings of the ground, so that it is seen on a cell of any shade without colours.
        assert (
            "td.own > span:first-child { box-shadow: inset 0 0 0 2px var(--own), inset 0 0 0 3.5px var(--ground)" in css
        )
        cells = re.findall(r"\.h(\d) \{ background: (#\w+); color: (#\w+); \}", theme)
        assert len(cells) == colours.STEPS
        assert all(contrast(ground, text) >= TEXT_CONTRAST for _, ground, text in cells)
        used = set(re.findall(r'<span class="h(\d)">', written))
        assert used <= {number for number, _, _ in cells}
        assert len(used) > 3


def test_black_or_white_can_be_read_on_any_colour():
    for red in range(0, 256, 15):
        for green in range(0, 256, 15):
            for blue in range(0, 256, 51):
                ground = f"#{red:02x}{green:02x}{blue:02x}"
                assert contrast(colours.readable_on(ground), ground) >= TEXT_CONTRAST


def test_each_dataset_has_its_colour_and_shape_in_every_section(page):
    for section in page.all("section"):
        for holder in section.all("th", "div"):
            marks = [svg for svg in holder.all("svg") if svg.has("mark")]
            name = holder.shown.removesuffix(" (test)")
            if len(marks) == 1 and name in published.dataset_names().values():
                wanted = {colours.style(i).colour for i, n in published.dataset_names().items() if n == name}
                assert {marks[0].attrs["fill"]} == wanted, (section.attrs["id"], name)


def test_every_training_set_has_a_panel_of_its_own(page):
    panels = {
        s.attrs["id"]: [li for ul in s.all("ul") if ul.has("panels") for li in ul.all("li")]
        for s in page.all("section")
    }
    assert len(panels["training"]) == 32
    assert len(panels["embedding"]) == 3 * (32 + 5)
    assert sum(panel.has("test") for panel in panels["embedding"]) == 3 * 5
    # The band of all runs is the same in each, the line is its own.
    paths = [[path.attrs["d"] for path in panel.all("path") if "class" in path.attrs] for panel in panels["training"]]
    assert len({tuple(three[:2]) for three in paths}) == 1
    assert len({three[2] for three in paths}) == 32


def test_the_page_stays_small(written):
    images = sum(len(address) for address in re.findall(r'src="(data:[^"]*)"', written))
    assert len(written) - images < 2_000_000


def test_shades_are_strong_where_values_are_good():
    frame = pd.DataFrame({"name": list("abc"), "error": [3.0, 1.0, float("nan")]})
    table = page_table(frame, "t", "errors", look=Look(best={"error": "min"}, shaded={"error": "min"}))
    cells = [row[1] for row in table.rows]
    assert [cell.shade for cell in cells] == [0, colours.STEPS - 1, None]
    assert [cell.best for cell in cells] == [False, True, False]
    assert [cell.key for cell in cells] == [3.0, 1.0, None]
