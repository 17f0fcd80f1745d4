"""The sections of the report that are small multiples or grids: samples, coverage of the test sets, training."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ehps.analysis import attributes, curves, distance_figures, set_distances, small_multiples
from ehps.analysis.published import dataset_name
from ehps.analysis.report_inputs import ReportInputs
from ehps.analysis.report_sections import figure, shown_name
from ehps.analysis.report_tables import Look, page_table


def embedding(inputs: ReportInputs) -> dict[str, Any] | None:
    """Where the samples of each dataset lie among all, and what could not be embedded."""
    if not inputs.embeddings:
        return None
    left = inputs.samples.left_out if inputs.samples is not None else pd.DataFrame()
    grids: list[dict[str, Any]] = []
    for attribute, frame in inputs.embeddings.items():
        title = attributes.TITLES.get(attribute, attribute)
        drawn = small_multiples.points(frame)
        method = str(frame.attrs.get("method", "embedding")).upper()
        grids.append({"title": title[0].upper() + title[1:], "method": method, "points": drawn})
    return {
        "grids": grids,
        "most": small_multiples.MOST_SAMPLES if any(grid["points"].thinned for grid in grids) else None,
        "left_out": [f"{shown_name(str(r.dataset))}, {r.attribute}: {r.reason}" for r in left.itertuples()],
    }


def coverage(inputs: ReportInputs) -> dict[str, Any] | None:
    """Training sets against test sets: a shaded table an attribute, and all distances."""
    if inputs.samples is None:
        return None
    frame = attributes.coverage_table(inputs.samples)
    if not len(frame):
        return None
    grids = []
    for number, (attribute, part) in enumerate(frame.groupby("attribute", sort=False)):
        wide = part.pivot(index="train_set", columns="test_set", values="coverage")
        wide = wide.reindex(index=part["train_set"].unique(), columns=part["test_set"].unique())
        sets = [str(name) for name in wide.index]
        title = attributes.TITLES.get(str(attribute), str(attribute))
        shown = wide.rename(columns=lambda name: shown_name(str(name))).reset_index(drop=True)
        heads = [str(name) for name in shown]
        shown.insert(0, "Training set", [shown_name(name) for name in sets])
        shown["Mean"] = wide.mean(axis=1).to_numpy()
        look = Look(shaded=dict.fromkeys([*heads, "Mean"], "max"), scale=(0.0, 1.0), marks={"Training set": sets})
        said = f"Coverage of the test sets by {title}"
        grids.append(
            {
                "title": title[0].upper() + title[1:],
                "table": page_table(shown, f"coverage-{number}", said, digits=2, look=look),
            }
        )
    names = {"attribute": "Attribute", "train_set": "Training set", "test_set": "Test set", "coverage": "Coverage"}
    names |= {"own_scale": "At own scale", "nearest": "Nearest sample", "energy": "Energy distance"}
    names |= {"energy_share": "Energy share", "mmd_squared": "Squared MMD", "mmd_p": "MMD p", "frechet": "Frechet"}
    names |= {"classifier": "Classifier", "at_zero": "Below 0", "n": "Samples", "k": "Neighbours", "unit": "Unit"}
    titled = frame["attribute"].map(lambda name: attributes.TITLES.get(str(name), str(name)))
    shown = frame.assign(attribute=titled, train_set=frame["train_set"].map(shown_name))
    shown = shown.assign(test_set=frame["test_set"].map(shown_name))[list(names)].rename(columns=names)
    return {"grids": grids, "table": page_table(shown, "distances-table", "Coverage and distances", digits=2)}


def sets(inputs: ReportInputs) -> dict[str, Any] | None:
    """How far apart sets are, as heat maps, and how many distinct samples each has in effect."""
    if inputs.samples is None:
        return None
    found = {
        name: matrix for name, matrix in set_distances.matrices(inputs.samples, "energy").items() if len(matrix) > 1
    }
    if not found:
        return None
    return {
        "figure": figure(distance_figures.distance_figure(found), "distances"),
        "distinct": _distinct(set_distances.diversity_table(inputs.samples)),
    }


def _distinct(frame: pd.DataFrame) -> dict[str, Any] | None:
    """Sets by attributes: the effective number of distinct samples at the largest number that all sets have."""
    if not len(frame):
        return None
    last = frame[frame["n"] == frame.groupby("attribute")["n"].transform("max")]
    wide = last.pivot(index="set", columns="attribute", values="vendi")
    wide = wide.reindex(index=last["set"].unique(), columns=last["attribute"].unique())
    names = [str(name) for name in wide.index]
    heads = {name: attributes.TITLES.get(str(name), str(name)) for name in wide}
    shown = wide.rename(columns={name: title[0].upper() + title[1:] for name, title in heads.items()})
    shown = shown.reset_index(drop=True)
    columns = [str(name) for name in shown]
    shown.insert(0, "Set", [shown_name(name) for name in names])
    look = Look(shaded=dict.fromkeys(columns, "max"), marks={"Set": [name.removesuffix(" (test)") for name in names]})
    counts = sorted({int(n) for n in last["n"]})
    return {
        "table": page_table(shown, "distinct-table", "Effective number of distinct samples", digits=1, look=look),
        "n": " to ".join(f"{n:,}" for n in dict.fromkeys((counts[0], counts[-1]))),
    }


def training(inputs: ReportInputs) -> dict[str, Any] | None:
    """The loss of each run in a panel of its own, and every logged quantity at the end of each run."""
    logged = inputs.training
    if logged is None or not len(logged):
        return None
    order = [] if inputs.ranked is None else [str(name) for name in inputs.ranked["train_set"]]
    names = curves.quantities(logged)
    drawn = small_multiples.lines(logged, names[0], order) if names else None
    last = logged.sort_values("step", kind="stable").groupby(["run", "name"], sort=False)["value"].last().unstack()
    runs = [*(r for r in order if r in last.index), *(r for r in last.index if r not in order)]
    last = last.loc[runs, [n for n in dict.fromkeys(logged["name"]) if n in last]]
    table = pd.DataFrame({"Training set": [dataset_name(str(run)) for run in runs]})
    table["Steps"] = logged.groupby("run")["step"].max().loc[runs].to_numpy()
    table["Steps"] = table["Steps"].astype("Int64")
    for name in last:
        table[str(name).replace("_", " ")] = last[name].to_numpy(float)
    digits = {str(name): 3 for name in table} | {"lr": 7, "images per second": 1}
    return {
        "quantity": names[0] if names else "",
        "lines": drawn,
        "said": curves.finding(logged, names[0]) if names else "",
        "table": page_table(
            table, "training-table", "Logged at the last step", digits=digits, look=Look(marks={"Training set": runs})
        ),
    }
