"""The dataset cards and their views: the table, one dataset, the pages under ``docs/datasets``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ehps.converters import cards, datasets, registry
from ehps.converters.base import VOCABULARIES, DatasetCard
from ehps.errors import UsageError

PAGES = Path(__file__).parents[2] / "docs" / "datasets"


@pytest.mark.parametrize("word", ["pw3d", "PW3D", "3DPW", "3dpw"])
def test_a_dataset_is_found_by_id_or_name_in_any_case(word: str) -> None:
    assert registry.card(word).id == "pw3d"


def test_words_of_names_tell_datasets_apart() -> None:
    assert registry.card("DNA-Rendering HiRes").id == "renbody_hires"
    assert all(registry.card(card.name.upper()) is card for card in registry.cards())


def test_the_names_that_are_known_without_loading_a_dataset_are_those_of_the_modules() -> None:
    folder = Path(str(datasets.__file__)).parent
    modules = [path.stem for path in folder.glob("*.py") if re.search("^CARD = ", path.read_text(), re.MULTILINE)]
    assert sorted(modules) == list(datasets.NAMES)
    assert {card.id: card.name for card in registry.cards()} == datasets.NAMES


SPLITS = {
    "agora": "train validation",
    "arctic": "train val test",
    "bedlam": "train val",
    "bedlam2": "train",
    "behave": "train test",
    "chi3d": "train test",
    "crowdpose": "train val test trainval",
    "egobody_ego": "train val test",
    "egobody_kinect": "train val test",
    "ehf": "val test",
    "emdb": "emdb1 emdb2 rest all",
    "fit3d": "train test",
    "gta_human2": "train",
    "h36m": "train test",
    "harmony4d": "train test",
    "hi4d": "all mono",
    "humansc3d": "train test",
    "insta_variety": "train",
    "lsp": "test",
    "lspet": "train test",
    "moyo": "train val",
    "mpi_inf_3dhp": "train test",
    "mpii": "train test",
    "mscoco": "train val",
    "mtp": "train val",
    "muco": "train",
    "ochuman": "train test",
    "posetrack": "train val",
    "prox": "train",
    "pw3d": "train validation test",
    "renbody": "train test",
    "renbody_hires": "train test",
    "rich": "train val test",
    "sam3d_body": "coco_train harmony4d_train 3dpw_train",
    "spec": "train test mtp_test",
    "ssp3d": "train",
    "synbody": "train",
    "talkshow": "train val test",
    "ubody": "train test inter_train inter_test",
    "up3d": "trainval train val test",
    "whac_a_mole": "train test",
}


def test_all_datasets_are_described_with_at_least_these_splits() -> None:
    assert [card.id for card in registry.cards()] == sorted(SPLITS)
    lacking = {card.id: set(SPLITS[card.id].split()) - set(card.splits) for card in registry.cards()}
    assert {dataset: splits for dataset, splits in lacking.items() if splits} == {}


def test_the_first_split_is_the_default() -> None:
    assert {card.id: card.default_split for card in registry.cards()} == {k: v.split()[0] for k, v in SPLITS.items()}


@pytest.mark.parametrize("card", registry.cards(), ids=lambda card: card.id)
def test_a_card_says_all_that_a_user_needs(card: DatasetCard) -> None:
    assert card.homepage.startswith("http")
    assert card.licence
    assert card.paper.count(",") >= 2
    assert card.annotation_note
    assert card.get
    assert card.needs or card.split_needs
    assert set(card.split_needs) <= set(card.splits)
    assert {name: getattr(card, name) for name in VOCABULARIES if getattr(card, name) not in VOCABULARIES[name]} == {}
    first = card.layout.strip().splitlines()[0]
    assert "/" in first
    for note in card.notes:
        assert note.endswith(".")


@pytest.mark.parametrize("dataset", SPLITS)
def test_the_page_holds_the_facts_of_the_card(dataset: str) -> None:
    card, page = registry.card(dataset), cards.page(dataset)
    facts = (card.name, card.homepage, card.licence, card.paper, card.layout.strip(), card.get)
    for fact in (*facts, card.annotation, card.annotation_note, card.scene_note):
        assert fact in page
    for split, count in card.splits.items():
        sure = "" if split not in card.uncertain else " (uncertain)"
        assert f"| {split} | {f'{count:,}{sure}' if count else 'not published'} |" in page
    assert (f"ehps convert {dataset} RAW --split {card.default_split}" in page) == registry.available(dataset)
    assert all(f"| {option.name} | " in page and option.meaning in page for option in card.options)


def test_the_page_says_what_the_licence_allows_and_what_is_not_known() -> None:
    page = cards.page("synbody")
    assert (
        "| commercial use | no |\n| redistribution | yes |\n| use of weights trained on it | not established |" in page
    )
    assert "| redistribution | no |" in cards.page("h36m")
    assert "| commercial use | not established |" in cards.page("mpii")


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_word_that_is_not_in_the_vocabulary_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}='other words' is none of {VOCABULARIES[name][0]}"):
        replace(registry.card("ubody"), **{name: "other words"})


def test_no_word_of_the_vocabularies_is_without_a_dataset() -> None:
    used = {name: {getattr(card, name) for card in registry.cards()} for name in VOCABULARIES}
    assert {name: set(words) - used[name] - {None} for name, words in VOCABULARIES.items()} == {
        name: set() for name in VOCABULARIES
    }


def test_the_page_names_releases_that_do_not_convert() -> None:
    section = cards.page("h36m").partition("## Other releases")[2].partition("## ")[0]
    assert section.count("part of the original release") == 1
    assert "`S*/MyPoseFeatures/D2_Positions`, `S*/Videos/*.54138969.mp4`: " in section
    assert "## Other releases" not in cards.page("ubody")


def test_video_datasets_show_how_to_cut_frames() -> None:
    assert "--frames" in cards.page("ubody").partition("## Convert")[2]
    assert "--frames" not in cards.page("bedlam").partition("## Convert")[2]


def test_pages_in_the_docs_are_those_of_the_cards(tmp_path: Path) -> None:
    cards.write_pages(tmp_path)
    wanted = {path.name: path.read_text() for path in tmp_path.iterdir()}
    found = {path.name: path.read_text() for path in PAGES.iterdir()}
    differing = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
    assert differing == [], "run: python -m ehps.converters.cards"
