"""Files of weights: what they are, strict loading, starting from other networks, the slim form."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import re
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from state_dicts import NAMES, listed
from torch import Tensor, nn

from ehps.benchmark import models
from ehps.benchmark.models import loading, weight_files
from ehps.benchmark.models.cards import FileRules, ModelCard, Start, Variant
from ehps.benchmark.models.file_reports import examine
from ehps.benchmark.models.origins import recognised
from ehps.benchmark.training import checkpoints
from ehps.cli import main
from ehps.errors import DataError, UsageError
from tests.upright import write_weights

SMALL = {"width": 8, "depth": 1, "heads": 1}
ON_META = ("smpler_x_l", "smpler_x_h", "smplest_x_h", "smpler_l")  # the others with their numbers


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {key: shape for key, (shape, _) in listed(name).items()}


@cache
def own_state(name: str) -> dict[str, Tensor]:
    """What the network has."""
    return loading.own_state(name, {})


def there(name: str) -> None:
    """Skip where the network's module is not there."""
    module = str(models.card(name).network).partition(":")[0]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not there")


def on_meta(name: str) -> dict[str, Tensor]:
    return {key: torch.empty(shape, dtype=kind, device="meta") for key, (shape, kind) in listed(name).items()}


# -- what a file is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_each_public_model_is_told_by_names_and_shapes(name: str) -> None:
    for prefix in ("", "module."):
        found = recognised({prefix + key: shape for key, shape in shapes(name).items()})
        assert found is not None
        assert (found.model, found.title) == (name, models.card(name).title)


def test_older_names_of_parts_are_known() -> None:
    older = {
        key.replace("encoder.", "backbone.").replace("body_regressor", "body_rotation_net"): shape
        for key, shape in shapes("smpler_x_b").items()
    }
    found = recognised(older)
    assert found is not None
    assert found.model == "smpler_x_b"
    assert "OSX's names of its parts (backbone, body_rotation_net)" in found.title


def vitpose(size: str, *, experts: bool = False) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a ViTPose file, made of the encoder that starts from it."""
    encoder = {k: s for k, s in shapes(f"smpler_x_{size}").items() if k.startswith("encoder.")}
    names = {k.replace("encoder.", "backbone."): s for k, s in encoder.items() if "task_tokens" not in k}
    names["keypoint_head.final_layer.weight"] = (17, 256, 1, 1)
    if experts:
        names["backbone.blocks.0.mlp.experts.0.weight"] = (names["backbone.pos_embed"][2] // 4, 8)
    return names


def part(model: str, prefix: str, **more: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """One part of a model as a file of its own: what it starts from."""
    names = {k.removeprefix(prefix): s for k, s in shapes(model).items() if k.startswith(prefix)}
    return names | {name.replace("__", "."): shape for name, shape in more.items()}


def test_what_trainings_start_from_is_told() -> None:
    for size in "sblh":
        found = recognised(vitpose(size))
        assert found is not None
        assert (found.id, found.model, found.title) == (f"vitpose_{size}", None, f"ViTPose-{size.upper()}")
    files = {
        "vitpose_plus_b": vitpose("b", experts=True),
        "resnet50": part("pymaf", "feature_extractor.", fc__weight=(1000, 2048)),
        "hrnet_w32": part("smpler", "backbone.", final_layer__weight=(17, 32, 1, 1)),
        "hrnet_w48": part("smpler_l", "backbone."),
        "imagenet_hrnet_w48": part("smpler_l", "backbone.", classifier__weight=(1000, 2048)),
    }
    assert {name: found.id for name, file in files.items() if (found := recognised(file))} == {n: n for n in files}
    assert recognised({"layer.weight": (2, 2)}) is None


# -- strict loading ------------------------------------------------------------------------------------------


def released(name: str, state: Mapping[str, Tensor]) -> weight_files.WeightFile:
    """A file as the authors write it."""
    extra = torch.zeros(3)
    prefixed = {f"module.{key}": value for key, value in state.items()}
    contents: dict[str, dict[str, Any]] = {
        "smpler_x": {"epoch": 9, "network": prefixed | {"module.smplx_layer.faces": extra}},
        "smplest_x": {"epoch": 9, "network": prefixed},
        "pymaf": {"model": {**state, "regressor.0.smpl.betas": extra}, "epoch": 60, "batch_idx": 0},
        "smpler": {"model": {**state, "J_regressor_h36m_correct": extra, "smpl_handler.x": extra}, "global_iter": 9},
    }
    kind = next(kind for kind in ("smpler_x", "smplest_x", "pymaf", "smpler") if name.startswith(kind))
    return weight_files.file_of(Path(f"{kind}.pth.tar"), contents[kind] | {"optimizer": {"state": {}}}, "PyTorch")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ON_META])
def test_public_files_fill_their_networks_to_the_last_weight(name: str) -> None:
    there(name)
    state = {
        key: torch.full(shape, zlib.crc32(key.encode()) % 1000 / 1000).to(kind)
        for key, (shape, kind) in listed(name).items()
    }
    net = loading.load(released(name, state))
    assert not net.training
    filled = net.state_dict()
    assert filled.keys() == state.keys()
    assert all(torch.equal(filled[key], value) for key, value in state.items())
    assert not any(value.is_meta for value in (*net.parameters(), *net.buffers()))


@pytest.mark.parametrize("name", NAMES)
def test_one_key_that_is_wrong_is_named(name: str) -> None:
    there(name)
    own = own_state(name)
    state = on_meta(name)
    assert loading.compared(state, own).ok
    first = next(key for key in state if key.endswith("weight"))
    for change, said in (
        ({f"{first}s": state[first]}, f"1 missing ({first}); 1 unexpected ({first}s)"),
        ({}, f"1 missing ({first})"),
        ({first: torch.empty(2, 3, device="meta")}, f"1 of another shape ({first} is 2 x 3, not"),
    ):
        fit = loading.compared({key: value for key, value in state.items() if key != first} | change, own)
        assert not fit.ok
        assert str(fit).startswith(said)


class Toy(nn.Module):
    """A network with a part that starts from elsewhere, a counter, a table that no file holds, and sometimes more."""

    def __init__(self, width: int = 3, more: bool = True) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
        self.tokens = nn.Parameter(torch.randn(width))
        self.head = nn.Linear(width, 1)
        if more:
            self.more = nn.Linear(width, 2)
        self.register_buffer("table", torch.arange(5), persistent=False)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    """A registered model whose files have older names and buffers of a body model, and that starts from ResNet-50, or
    from itself without the last part."""
    card = ModelCard(
        name="toy",
        network=Toy,
        title="Toy",
        rules=FileRules({"backbone.": "encoder."}, (r"body\..*",)),
        variants=(Variant({"more": False}, "toy_bare", "the bare toy"),),
        starts=(
            Start(
                "resnet50",
                "ResNet-50 of ImageNet",
                parts={"encoder.": ""},
                dropped=(r"fc\..*",),
                may_miss=(r"encoder\.1\.bias",),
            ),
            Start("toy_bare", "the bare toy", parts={"encoder.": "encoder.", "head.": "head.", "tokens": "tokens"}),
        ),
    )
    monkeypatch.setitem(models._all(), "toy", card)
    return "toy"


def test_wrappers_older_names_and_body_models_are_seen_through(toy: str, tmp_path: Path) -> None:
    state = Toy().state_dict()
    theirs = {f"module.{key.replace('encoder.', 'backbone.')}": value for key, value in state.items()}
    torch.save({"network": theirs | {"module.body.faces": torch.zeros(2)}}, tmp_path / "x.pt")
    net = loading.load(weight_files.read(tmp_path / "x.pt"), toy)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert net.get_buffer("table").tolist() == [0, 1, 2, 3, 4]
    found = examine(tmp_path / "x.pt", toy)
    assert (found.fits, found.dropped, found.renamed) == (True, ("module.body.faces",), 7)
    assert found.arguments == {}


def test_a_name_that_is_there_twice_is_an_error(toy: str, tmp_path: Path) -> None:
    torch.save({"encoder.0.bias": torch.zeros(3), "backbone.0.bias": torch.zeros(3)}, tmp_path / "x.pt")
    with pytest.raises(DataError, match=r"has encoder\.0\.bias twice, once as backbone\.0\.bias"):
        loading.load(weight_files.read(tmp_path / "x.pt"), toy)


def test_weights_of_the_file_become_those_of_the_network(toy: str, tmp_path: Path) -> None:
    """They are mapped: a change of the network does not reach the file."""
    torch.save(Toy().state_dict(), tmp_path / "x.pt")
    before = (tmp_path / "x.pt").read_bytes()
    net = loading.load(weight_files.read(tmp_path / "x.pt"), toy)
    with torch.no_grad():
        net.get_parameter("head.weight").fill_(7)
    assert (tmp_path / "x.pt").read_bytes() == before


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_files_of_old_and_new_torch_are_read(zipped: bool, toy: str, tmp_path: Path) -> None:
    state = Toy().state_dict()
    torch.save({"model": state, "epoch": 3}, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    file = weight_files.read(tmp_path / "x.pt")
    assert (file.form, file.epoch) == ("PyTorch" if zipped else "PyTorch before 1.6", 3)
    assert all(torch.equal(file.state[key], value) for key, value in state.items())
    assert loading.load(weight_files.read(tmp_path / "x.pt"), toy).state_dict().keys() == state.keys()


def sparse(file: Mapping[str, tuple[int, ...]]) -> weight_files.WeightFile:
    """What reading a file with these names and shapes gives, without numbers."""
    kinds = {key: torch.int64 if key.endswith("num_batches_tracked") else torch.float32 for key in file}
    state = {key: torch.empty(shape, dtype=kinds[key], device="meta") for key, shape in file.items()}
    return weight_files.WeightFile(Path("theirs.pth"), state, {}, "PyTorch")


def test_a_file_of_another_model_is_named_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "own_state", lambda name, _: on_meta(name))
    for model, file, said in (
        ("smpler", shapes("pymaf"), "is a file of PyMAF, not of SMPLer: "),
        ("smpler_x_s", shapes("smpler_x_b"), "is a file of SMPLer-X-B, not of SMPLer-X-S: "),
        ("smpler_x_s", vitpose("s"), "is a file of ViTPose-S, which smpler_x_s can start from; it is no trained"),
    ):
        with pytest.raises(DataError, match=re.escape(said)):
            loading.trained_weights(sparse(file), model, {})
    with pytest.raises(DataError, match="is a file of ViTPose-L, which is no model of ehps"):
        loading.model_of(sparse(vitpose("l")))
    with pytest.raises(DataError, match="not recognised as weights of a model; its parts are: layer"):
        loading.model_of(sparse({"layer.weight": (1,)}))


# -- starting from other networks ----------------------------------------------------------------------------


def start_of(model: str, file: Mapping[str, tuple[int, ...]], **arguments: Any) -> dict[str, Tensor]:
    return loading.starting_weights(sparse(file), model, on_meta(model), arguments)


def backbone_stage(model: str, **more: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a file of the stage that SMPLer's authors train first."""
    kept = {key: shape for key, shape in shapes(model).items() if key.startswith(("backbone.", "SMPL_predictor."))}
    return kept | {name.replace("__", "."): shape for name, shape in more.items()}


STARTS: dict[str, tuple[str, Callable[[], dict[str, tuple[int, ...]]], tuple[str, ...]]] = {
    "ViTPose": ("smpler_x_s", lambda: vitpose("s"), ("encoder",)),
    "ViTPose-H": ("smplest_x_h", lambda: vitpose("h"), ("encoder",)),
    "ResNet": (
        "pymaf",
        lambda: part("pymaf", "feature_extractor.", fc__weight=(1000, 2048), fc__bias=(1000,)),
        ("feature_extractor",),
    ),
    "HRNet": ("smpler", lambda: part("smpler", "backbone.", final_layer__weight=(17, 32, 1, 1)), ("backbone",)),
    "stage backbone": (
        "smpler_l",
        lambda: backbone_stage("smpler_l", smpl_handler__x=(3,)),
        ("backbone", "SMPL_predictor"),
    ),
}


@pytest.mark.parametrize("start", STARTS)
def test_a_start_fills_its_parts_and_may_miss_only_what_is_declared(start: str) -> None:
    model, made, parts = STARTS[start]
    file, own = made(), shapes(model)
    assert start_of(model, file).keys() == {key for key in own if key.split(".")[0] in parts} - {"encoder.task_tokens"}
    gone = next(key for key in file if key.endswith("1.bias") or key.endswith("bn1.bias"))
    with pytest.raises(DataError, match=rf"does not fill {' and '.join(parts)} of {model}: 1 missing \(.*bias"):
        start_of(model, {key: shape for key, shape in file.items() if key != gone})


def test_the_stage_backbone_of_smpler_is_a_model_of_its_own_and_starts_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = sparse(backbone_stage("smpler"))
    assert (loading.model_of(file), loading.arguments_of(file, "smpler")) == ("smpler", {"blocks": 0})
    assert loading.trained_weights(file, "smpler", {"blocks": 0}).keys() == file.state.keys()
    monkeypatch.setattr(loading, "own_state", lambda name, _: on_meta(name))
    with pytest.raises(DataError, match="which smpler can start from; it is no trained SMPLer"):
        loading.trained_weights(file, "smpler", {})


def test_what_smpler_can_start_from_is_named_where_a_file_is_something_else() -> None:
    either = "starts from pose HRNet-W32 or the backbone stage of SMPLer with HRNet-W32"
    for file, arguments, said in (
        (shapes("pymaf"), {}, f"is a file of PyMAF; smpler {either}"),
        (backbone_stage("smpler_l"), {}, f"is a file of the backbone stage of SMPLer with HRNet-W48; smpler {either}"),
        (part("smpler_l", "backbone."), {}, f"is a file of pose HRNet-W48; smpler {either}"),
        (shapes("smpler"), {"blocks": 0}, f"is a file of SMPLer; smpler[blocks=0] {either}"),
    ):
        with pytest.raises(DataError, match=re.escape(said)):
            start_of("smpler", file, **arguments)


def test_pose_hrnet_has_one_output_and_old_files_no_counters() -> None:
    file = {
        key: shape
        for key, shape in STARTS["HRNet"][1]().items()
        if not re.match(r"stage4\.2\.fuse_layers\.[123]\.", key) and not key.endswith("num_batches_tracked")
    }
    assert len(start_of("smpler", file)) == len(file) - 1


def test_a_start_of_another_size_or_kind_is_named() -> None:
    for file, said in (
        (vitpose("b"), "is a file of ViTPose-B; smpler_x_s starts from ViTPose-S"),
        (vitpose("s", experts=True), "is a file of ViTPose+-S, a mixture of experts; smpler_x_s starts from ViTPose-S"),
        ({"layer.weight": (1,)}, "is not recognised; smpler_x_s starts from ViTPose-S"),
    ):
        with pytest.raises(DataError, match=re.escape(said)) as caught:
            start_of("smpler_x_s", file)
        assert "vitpose_small.pth" in str(caught.value)


def test_a_training_begins_with_what_its_model_starts_from(
    toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        loading, "recognised", lambda names: recognised({**part("pymaf", "feature_extractor."), **names})
    )
    state = {"0.weight": torch.rand(3, 2), "0.bias": torch.rand(3), "1.weight": torch.rand(3)}
    state |= {"1.running_mean": torch.rand(3), "1.running_var": torch.rand(3), "fc.weight": torch.rand(9, 9)}
    torch.save(state, tmp_path / "resnet50.pth", _use_new_zipfile_serialization=False)
    net = Toy()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    checkpoints.begin(net, toy, {}, tmp_path / "resnet50.pth")
    after = net.state_dict()
    assert torch.equal(after["encoder.0.weight"], state["0.weight"])
    kept = ("tokens", "head.weight", "encoder.1.bias", "encoder.1.num_batches_tracked")
    assert all(torch.equal(after[key], before[key]) for key in kept)
    torch.save({f"x.{key}": value for key, value in state.items()}, tmp_path / "odd.pth")
    with pytest.raises(DataError, match=r"does not fill encoder of toy: 5 missing"):
        checkpoints.begin(net, toy, {}, tmp_path / "odd.pth")


def bare_toy(path: Path, **changed: Tensor) -> Path:
    """A checkpoint of ehps of the toy without its last part."""
    return write_weights(path, "toy", Toy(more=False).state_dict() | changed, {"more": False})


def test_a_network_begins_with_our_file_of_a_part_of_it_and_the_rest_is_new(toy: str, tmp_path: Path) -> None:
    path, net = bare_toy(tmp_path / "bare.pt"), Toy()
    state, before = checkpoints.load(path)["state"], {key: value.clone() for key, value in net.state_dict().items()}
    checkpoints.begin(net, toy, {}, path)
    after = net.state_dict()
    assert after.keys() - state.keys() == {"more.weight", "more.bias"}
    assert all(torch.equal(after[key], state.get(key, before[key])) for key in after)
    assert not torch.equal(before["head.weight"], state["head.weight"])
    checkpoints.begin(Toy(more=False), toy, {"more": False}, path)
    loaded, content = checkpoints.load_model(path)
    assert (loaded.state_dict().keys(), content["model"]["args"]) == (state.keys(), {"more": False})
    found = examine(path)
    assert (found.what, found.starts, found.fits) == ("the bare toy, written by ehps", (toy,), True)
    assert "model: toy[more=false]; all its weights are there" in list(found.lines())
    assert examine(path, "tiny").arguments == {}


def test_arguments_of_a_model_that_are_no_plain_values_are_not_used(toy: str, tmp_path: Path) -> None:
    path = write_weights(tmp_path / "odd.pt", toy, Toy().state_dict(), {"more": torch.ones(2)})
    assert examine(path).arguments == {}
    with pytest.raises(DataError, match=r"its model\.args hold more than plain values"):
        checkpoints.load_any(path)


def test_our_files_that_a_network_cannot_begin_with_are_named(toy: str, ours: Path, tmp_path: Path) -> None:
    either = "starts from ResNet-50 of ImageNet or the bare toy"
    whole = write_weights(tmp_path / "whole.pt", toy, Toy().state_dict())
    wide = bare_toy(tmp_path / "wide.pt", tokens=torch.zeros(4))
    damaged = bare_toy(tmp_path / "damaged.pt")
    content = torch.load(damaged, weights_only=True)
    content["state"]["tokens"] += 1
    torch.save(content, damaged)
    for path, arguments, said in (
        (whole, {"more": False}, f"is a file of Toy, written by ehps; toy[more=false] {either}"),
        (ours, {}, f"is a file of tiny, written by ehps; toy {either}"),
        (wide, {}, "does not fill encoder and head and tokens of toy: 1 of another shape (tokens is 4, not 3)"),
        (wide, {"more": False}, "weights do not fit toy: 1 of another shape (tokens is 4, not 3)"),
        (damaged, {}, "is damaged: its weights are not as they were written"),
    ):
        with pytest.raises(DataError, match=re.escape(said)):
            checkpoints.begin(Toy(**arguments), toy, arguments, path)


# -- files that are something else ---------------------------------------------------------------------------


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_asks_for_code_is_refused(zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = {"network": {"encoder.task_tokens": torch.zeros(1)}, "epoch": Evil()}
    torch.save(content, "x.pth.tar", pickle_module=pickle, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match=r"it asks for code to be run \(\w+\.system\), which is refused"):
        examine(Path("x.pth.tar"))
    out = CliRunner().invoke(main, ["benchmark", "checkpoint", "x.pth.tar"])
    assert (out.exit_code, "refused" in out.stderr) == (1, True)
    assert not Path("executed").exists()


def test_files_of_no_weights_are_told(tmp_path: Path) -> None:
    torch.save({"epoch": 1, "config": {"lr": 1.0}}, tmp_path / "config.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    torch.save({"state_dict": {"a": torch.zeros(1).expand(10**6)}}, tmp_path / "expanded.pt")
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><html>Sign in</html>")
    (tmp_path / "empty.pth").write_bytes(b"")
    whole = (tmp_path / "config.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    for name, said in (
        ("config.pt", "holds no weights; its entries are: epoch, config"),
        ("tensor.pt", "holds a single tensor, not weights by name"),
        ("expanded.pt", "its weights a are not plainly stored numbers"),
        ("page.pth", "is a web page, not a file of weights"),
        ("empty.pth", "has 0 bytes"),
        ("cut.pt", r"not a readable checkpoint \(cut short or damaged"),
    ):
        with pytest.raises(DataError, match=said):
            weight_files.read(tmp_path / name)


# -- the slim form -------------------------------------------------------------------------------------------


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A checkpoint of ``tiny`` with the state of an optimiser."""
    state = models.build("tiny", **SMALL).state_dict()
    moments = {i: {"exp_avg": value.clone(), "exp_avg_sq": value.clone()} for i, value in enumerate(state.values())}
    content = {
        "model": {"name": "tiny", "args": SMALL},
        "state": state,
        "step": 3,
        "config": "{}",
        "box_ratio": 1.25,
        "weights_sha256": checkpoints.weights_hash(state),
        "trained_on": [],
        "optimizer": {"state": moments, "param_groups": []},
    }
    return checkpoints.save(tmp_path / "last.pt", content)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_the_slim_form_holds_weights_and_declaration(suffix: str, ours: Path, tmp_path: Path) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    out = checkpoints.slim(ours, tmp_path / f"slim{suffix}")
    before, after = checkpoints.load(ours), checkpoints.load_any(out)
    assert after.keys() == before.keys() - {"optimizer"}
    assert {k: v for k, v in after.items() if k != "state"} == {k: before[k] for k in after if k != "state"}
    assert all(torch.equal(after["state"][key], value) for key, value in before["state"].items())
    assert out.stat().st_size < ours.stat().st_size / 2
    assert out.stat().st_mode == ours.stat().st_mode
    net, content = checkpoints.load_model(out)
    assert (net.input_size, content["box_ratio"]) == ((128, 96), 1.25)
    assert examine(out).form == ("PyTorch" if suffix == ".pt" else "safetensors")
    assert checkpoints.weights_hash(net.state_dict()) == before["weights_sha256"]


def test_a_damaged_slim_file_is_told(ours: Path, tmp_path: Path) -> None:
    out = checkpoints.slim(ours, tmp_path / "slim.pt")
    content = torch.load(out, weights_only=True)
    content["state"]["position"][0, 0, 0] += 1
    torch.save(content, out)
    with pytest.raises(DataError, match="its weights are not as they were written"):
        checkpoints.load_model(out)


def test_a_public_file_becomes_a_checkpoint(toy: str, tmp_path: Path) -> None:
    state = Toy().state_dict()
    torch.save({"network": {f"module.{k}": v for k, v in state.items()}, "epoch": 9}, tmp_path / "toy.pth.tar")
    content = checkpoints.load(checkpoints.slim(tmp_path / "toy.pth.tar", tmp_path / "slim.pt", model=toy))
    assert (content["model"], content["public_file"], content["epoch"]) == ({"name": toy, "args": {}}, "toy.pth.tar", 9)
    net, _ = checkpoints.load_model(tmp_path / "slim.pt")
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    with pytest.raises(DataError, match="not recognised as weights of a model"):
        checkpoints.load_model(tmp_path / "toy.pth.tar")
    torch.save({"head.weight": state["head.weight"]}, tmp_path / "part.pt")
    with pytest.raises(DataError, match="weights do not fit toy: 11 missing"):
        checkpoints.slim(tmp_path / "part.pt", tmp_path / "none.pt", model=toy)
    assert not (tmp_path / "none.pt").exists()


def test_the_file_itself_and_other_models_are_refused_as_output(ours: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the file that is read"):
        checkpoints.slim(ours, ours)
    with pytest.raises(UsageError, match="is a checkpoint of tiny, not of smpler"):
        checkpoints.slim(ours, tmp_path / "x.pt", model="smpler")
    with pytest.raises(UsageError, match=r"ends in \.npz, not in \.pt or \.safetensors"):
        checkpoints.slim(ours, tmp_path / "x.npz")


# -- the command ---------------------------------------------------------------------------------------------


def test_the_command_says_what_a_file_is(ours: Path, tmp_path: Path) -> None:
    run, slim = CliRunner().invoke, tmp_path / "slim.pt"
    out = run(main, ["benchmark", "checkpoint", str(ours), "--out", str(slim)])
    assert out.exit_code == 0
    assert "what: tiny, written by ehps" in out.stdout
    assert "optimizer: inside" in out.stdout
    assert "model: tiny[depth=1, heads=1, width=8]; all its weights are there" in out.stdout
    found = json.loads(run(main, ["benchmark", "checkpoint", str(slim), "--json"]).stdout)
    assert (found["model"], found["fits"], found["optimizer"], found["optimizer_bytes"]) == ("tiny", True, False, 0)
    assert found["numbers"] == sum(value.numel() for value in checkpoints.load(slim)["state"].values())


def test_the_command_names_what_does_not_fit(toy: str, tmp_path: Path) -> None:
    state = Toy(width=4).state_dict()
    torch.save({"state_dict": {**state, "spare": torch.zeros(1)}, "meta": {"epoch": 210}}, tmp_path / "x.pth")
    out = CliRunner().invoke(main, ["benchmark", "checkpoint", str(tmp_path / "x.pth"), "--model", toy])
    assert out.exit_code == 1
    assert "epoch: 210" in out.stdout
    assert "model: toy; its weights do not fit" in out.stdout
    assert "  unexpected: 1 (spare)" in out.stdout
    assert "  of another shape: 9 (tokens (4,) instead of (3,), " in out.stdout
    out = CliRunner().invoke(main, ["benchmark", "checkpoint", str(tmp_path / "x.pth")])
    assert out.exit_code == 0
    assert "not recognised; its parts are encoder, head, more, spare, tokens" in out.stdout
