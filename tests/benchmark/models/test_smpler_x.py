"""SMPLer-X: names and shapes of the public files, each peculiarity of its heads, and the batch."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ehps.benchmark.models.outputs import Prediction
from ehps.benchmark.models.smpler_x import HandRoiNet, PositionNet, SmplerX, in_crop, part_box, sample, soft_argmax
from ehps.benchmark.models.vit import Size
from ehps.benchmark.training import rotations_6d
from ehps.benchmark.training.smplx_joints import Skeleton
from ehps.body.hands import mean_hands
from ehps.body.models import BodyModels
from ehps.body.torch_joints import TorchJoints
from tests.benchmark.models.randomised import Said, images, randomised, tensors
from tests.benchmark.models.state_dicts import listed, random_state

SMALL = Size(width=64, depth=1, heads=2, drop_path=0.0)
PARAMETERS = {"s": 32_008_024, "b": 102_939_928, "l": 326_654_872, "h": 661_827_096}
PARTS = ("left_hand", "right_hand", "face")
OF_S = {
    "encoder": 21_675_648,
    "body_position_net": 154_000,
    "body_regressor": 1_901_757,
    "box_net": 5_509_641,
    "hand_roi_net": 1_512_384,
    "hand_position_net": 123_200,
    "hand_regressor": 1_125_234,
    "face_regressor": 6_160,
}


@pytest.fixture(scope="module")
def model() -> SmplerX:
    """Small, with heat maps that have peaks."""
    model = randomised(SmplerX(SMALL))
    with torch.no_grad():
        model.body_position_net.conv[0].weight *= 6
        model.hand_position_net.conv[0].weight *= 6
        model.box_net.bbox_center[0].weight *= 6
    return model


@torch.no_grad()
def predicted(model: nn.Module, image: Tensor) -> Prediction:
    return model(image)


def saying(layer: nn.Module, *values: float) -> None:
    """Make a linear layer say the same of everything."""
    with torch.no_grad():
        layer[0].weight.zero_()
        layer[0].bias.copy_(torch.tensor(values))


@pytest.mark.parametrize("size", PARAMETERS)
def test_names_shapes_and_counts_are_those_of_the_public_files(size: str) -> None:
    with torch.device("meta"):
        model = SmplerX(size)
    state = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in model.state_dict().items()}
    assert state == listed(f"smpler_x_{size}")
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[size]
    if size == "s":
        assert {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()} == OF_S


def test_shapes_of_the_output_without_looking_at_a_number_or_leaving_the_device() -> None:
    with torch.device("meta"):
        model = SmplerX(SMALL)
    out = model.eval()(torch.empty(2, 3, 512, 384, device="meta"))
    assert {name: tuple(tensor.shape) for name, tensor in tensors(out).items()} == {
        "global_orient": (2, 3, 3),
        "body_pose": (2, 21, 3, 3),
        "left_hand_pose": (2, 15, 3, 3),
        "right_hand_pose": (2, 15, 3, 3),
        "jaw_pose": (2, 3, 3),
        "betas": (2, 10),
        "expression": (2, 10),
        "cam_trans": (2, 3),
        "joint_img": (2, 65, 3),
        "left_hand_joint_img": (2, 20, 3),
        "right_hand_joint_img": (2, 20, 3),
        **{f"{part}_bbox": (2, 4) for part in ("left_hand", "right_hand", "face")},
        **{
            f"{part}_bbox_{what}": (2, 2) for part in ("left_hand", "right_hand", "face") for what in ("center", "size")
        },
    }


def test_the_small_one_takes_numbers_for_every_name_and_is_little_changed_by_half_precision() -> None:
    with torch.device("meta"):
        model = SmplerX("s")
    model.load_state_dict(random_state("smpler_x_s"), strict=True, assign=True)
    exact = predicted(model.eval(), images(1))
    with torch.autocast("cpu", torch.bfloat16):
        rough = predicted(model, images(1))
    for name, tensor in tensors(rough).items():
        assert tensor.dtype == torch.float32, name
    for name in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose"):
        between = getattr(exact, name).mT @ getattr(rough, name)
        degrees = rotations_6d.to_axis_angle(between).norm(dim=-1) * (180 / math.pi)
        assert degrees.mean() < 0.5, name
    torch.testing.assert_close(rough.cam_trans, exact.cam_trans, atol=0.2, rtol=0)
    torch.testing.assert_close(rough.extras["joint_img"], exact.extras["joint_img"], atol=0.02, rtol=0)


def test_rows_do_not_depend_on_the_batch_of_three_or_any_other(model: SmplerX) -> None:
    rows = images(5)
    whole = tensors(predicted(model, rows))
    for n in (1, 2, 3):
        for name, tensor in tensors(predicted(model, rows[:n])).items():
            torch.testing.assert_close(tensor, whole[name][:n], atol=2e-3 if "img" in name else 2e-4, rtol=1e-4)
    assert (whole["global_orient"][0] - whole["global_orient"][1]).abs().max() > 1e-3  # rows differ


def test_six_numbers_are_interleaved_columns() -> None:
    turned = randomised(SmplerX(SMALL))
    saying(turned.body_regressor.root_pose_out, 0, 2, 3, 0, 0, 0)  # first column 0, 3, 0; second 2, 0, 0
    saying(turned.face_regressor.jaw_pose_out, 1, 0, 0, 0, 0, 1)
    out = predicted(turned, images(3))
    for row in range(3):
        np.testing.assert_allclose(out.global_orient[row], ((0, 1, 0), (1, 0, 0), (0, 0, -1)), atol=1e-6)
        np.testing.assert_allclose(out.jaw_pose[row], ((1, 0, 0), (0, 0, -1), (0, 1, 0)), atol=1e-6)


def test_depth_is_a_sigmoid_of_56_metres() -> None:
    model = randomised(SmplerX(SMALL))
    saying(model.body_regressor.cam_out, 0.3, -0.2, 0.7)
    expected = (0.3, -0.2, 56.382 / (1 + math.exp(-0.7)))
    np.testing.assert_allclose(predicted(model, images(1)).cam_trans[0], expected, rtol=1e-5)


def test_hands_are_relative_to_the_mean_hand(models: BodyModels) -> None:
    model = randomised(SmplerX(SMALL))
    saying(model.hand_regressor.hand_pose_out, *[1, 0, 0, 1, 0, 0] * 15)  # no rotation
    out = predicted(model, images(1))
    np.testing.assert_allclose(out.left_hand_pose[0], np.broadcast_to(np.eye(3), (15, 3, 3)), atol=1e-6)
    neutral = models.get("smplx", "neutral")
    absolute = TorchJoints(neutral, flat_hand_mean=True)
    left, right = torch.as_tensor(mean_hands(neutral), dtype=torch.float32).view(2, 1, 15, 3)

    def joints(**hands: Tensor) -> Tensor:
        return absolute(
            out.global_orient[:, None],
            out.body_pose,
            out.betas,
            jaw_pose=out.jaw_pose[:, None],
            expression=out.expression,
            **hands,
        )

    placed = Skeleton(models)(vars(out))
    torch.testing.assert_close(placed, joints(left_hand_pose=left, right_hand_pose=right), atol=1e-5, rtol=0)
    assert (placed - joints())[0, 25:55].norm(dim=-1).max() > 0.005  # metres


def test_the_left_hand_is_mirrored_and_restored() -> None:
    """What is the left hand of an image is the right hand of the mirrored one."""
    symmetric = randomised(SmplerX(SMALL), seed=3)
    with torch.no_grad():
        symmetric.hand_position_net.conv[0].weight *= 6
        for layer in symmetric.hand_roi_net.deconv:
            if isinstance(layer, nn.ConvTranspose2d):
                layer.weight.add_(layer.weight.flip(3))
    tokens = torch.randn(1, 31, 64, generator=torch.Generator().manual_seed(0))
    patches = torch.randn(1, 16, 12, 64, generator=torch.Generator().manual_seed(1))
    centers = torch.tensor((((3.0, 7.2), (8.4, 5.1), (6.0, 2.0)),))
    sizes = torch.tensor((((2.5, 3.1), (1.9, 2.2), (2.0, 2.0)),))
    swapped = [1, 0, 2]
    mirrored = torch.stack((11.75 - centers[..., 0], centers[..., 1]), dim=-1)[:, swapped]  # cells of 48 are mirrored

    symmetric.encoder, symmetric.box_net = Said(tokens, patches.view(1, 192, 64)), Said(centers, sizes)
    out = predicted(symmetric, images(1))
    symmetric.encoder, symmetric.box_net = (
        Said(tokens, patches.flip(2).reshape(1, 192, 64)),
        Said(mirrored, sizes[:, swapped]),
    )
    other = predicted(symmetric, images(1))

    for side, opposite in (("left", "right"), ("right", "left")):
        axis_angle = rotations_6d.to_axis_angle(getattr(other, f"{opposite}_hand_pose"))
        found = rotations_6d.to_axis_angle(getattr(out, f"{side}_hand_pose"))
        torch.testing.assert_close(found, axis_angle * torch.tensor((1, -1, -1)), atol=1e-3, rtol=0)
        points = other.extras[f"{opposite}_hand_joint_img"] * torch.tensor((-1, 1, 1)) + torch.tensor((15, 0, 0))
        torch.testing.assert_close(out.extras[f"{side}_hand_joint_img"], points, atol=1e-3, rtol=0)
    assert out.left_hand_pose.sub(out.right_hand_pose).abs().max() > 0.1


def test_boxes_are_square_and_widened_twofold_for_hands_and_by_half_for_faces() -> None:
    boxed = randomised(SmplerX(SMALL))
    centers = torch.tensor((((3.0, 7.0), (8.0, 5.0), (6.0, 2.0)),))
    sizes = torch.tensor((((1.0, 2.0), (1.5, 0.5), (2.0, 1.0)),))
    boxed.box_net = Said(centers, sizes)
    extras = predicted(boxed, images(1)).extras
    # a patch is 32 pixels of the crop of 512 x 384
    np.testing.assert_allclose(extras["left_hand_bbox"][0], (96 - 64, 224 - 64, 96 + 64, 224 + 64))
    np.testing.assert_allclose(extras["right_hand_bbox"][0], (256 - 48, 160 - 48, 256 + 48, 160 + 48))
    np.testing.assert_allclose(extras["face_bbox"][0], (192 - 48, 64 - 48, 192 + 48, 64 + 48))
    np.testing.assert_array_equal(extras["right_hand_bbox_center"], centers[:, 1])
    np.testing.assert_array_equal(extras["right_hand_bbox_size"], sizes[:, 1])


def test_a_box_of_negative_sizes_keeps_the_larger() -> None:
    box = part_box(torch.tensor(((2.0, 3.0),)), torch.tensor(((-1.0, -0.5),)), 2.0)
    np.testing.assert_allclose(box[0], (40, 56, 24, 40))


def test_hand_points_are_put_into_their_boxes() -> None:
    points = torch.zeros(1, 2, 20, 3)
    points[0, 0, 0] = torch.tensor((8.0, 16.0, 5.0))
    boxes = torch.tensor((((32.0, 48.0, 64.0, 112.0), (0.0, 0.0, 16.0, 16.0)),))
    np.testing.assert_allclose(in_crop(points, boxes)[0, 0, 0], (3, 7, 5))  # middle and lower edge, in patches
    np.testing.assert_allclose(in_crop(points, boxes)[0, 0, 1], (2, 3, 0))


def test_points_are_mean_cells_and_channels_are_joints_times_depth() -> None:
    logits = torch.full((1, 2, 16, 4, 5), -40.0)
    logits[0, 0, 11, 3, 1] = 40
    logits[0, 1, 0, 1, 2] = logits[0, 1, 0, 2, 4] = 40
    heat, points = soft_argmax(logits)
    np.testing.assert_allclose(heat.sum((2, 3, 4)), np.ones((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(points[0], ((1, 3, 11), (3, 1.5, 0)), atol=1e-5)

    net = randomised(PositionNet(8, 3))
    with torch.no_grad():
        net.conv[0].weight.zero_()
        net.conv[0].bias.zero_()
        net.conv[0].bias[2 * 16 + 9] = 60  # joint 2, layer 9
    _, points = net(torch.zeros(1, 8, 16, 12))
    expected = ((5.5, 7.5, 7.5), (5.5, 7.5, 7.5), (5.5, 7.5, 9))
    np.testing.assert_allclose(points[0].detach(), expected, atol=1e-4)


def test_features_are_sampled_between_the_centres_of_cells() -> None:
    features = torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    points = torch.rand(2, 7, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor((4, 5))
    points[0, 0] = torch.tensor((4, 5))
    grid = points / torch.tensor((4, 5)) * 2 - 1
    expected = nn.functional.grid_sample(features, grid[:, None], align_corners=True)[:, :, 0].mT
    torch.testing.assert_close(sample(features, points), expected, atol=1e-5, rtol=0)


def test_each_token_has_its_task_and_those_of_the_hands_none() -> None:
    changed = {0: {"betas"}, 1: {"cam_trans"}, 2: {"expression"}, 3: {"jaw_pose"}, 4: set(), 5: set()}
    changed |= {6: {"global_orient", "body_pose"}, 30: {"global_orient", "body_pose"}}
    tokens = torch.randn(1, 31, 64, generator=torch.Generator().manual_seed(0)).repeat(len(changed) + 1, 1, 1)
    for row, token in enumerate(changed):
        tokens[row, token] += 1
    told = randomised(SmplerX(SMALL))
    told.encoder = Said(tokens, torch.zeros(len(tokens), 192, 64))
    told.box_net = Said(*torch.ones(2, len(tokens), 3, 2))
    out = vars(predicted(told, images(len(tokens))))
    del out["extras"]
    for row, (token, expected) in enumerate(changed.items()):
        found = {name for name, tensor in out.items() if (tensor[row] - tensor[-1]).abs().max() > 1e-4}
        assert found == expected, token


def test_left_hands_come_first_in_the_crops_and_are_turned_round() -> None:
    net = randomised(HandRoiNet(8))
    boxes = torch.tensor((((20.0, 30.0, 90.0, 100.0),) * 2,) * 2)  # the same box for left and right
    features = torch.randn(2, 8, 16, 12, generator=torch.Generator().manual_seed(0))
    crops = net(features, boxes)  # (4, 8, 16, 16)
    torch.testing.assert_close(crops[:2], crops[2:].flip(-1))
    assert (crops[0] - crops[1]).abs().max() > 0.1


def test_losses_of_the_pose_do_not_reach_the_points_and_boxes() -> None:
    model = SmplerX(SMALL).train()
    out = model(images(1))
    (out.body_pose.sum() + out.left_hand_pose.sum()).backward()
    assert model.body_regressor.body_pose_out[0].weight.grad.abs().max() > 0
    for part in (model.body_position_net, model.box_net, model.hand_position_net):
        assert all(p.grad is None for p in part.parameters())
    assert not out.extras["left_hand_bbox"].requires_grad
    assert out.extras["left_hand_bbox_size"].requires_grad
    assert out.extras["joint_img"].requires_grad


def test_a_fresh_one_begins_with_small_numbers() -> None:
    torch.manual_seed(0)
    state = SmplerX(SMALL).state_dict()
    for name, std in {
        "encoder.task_tokens": 0.02,
        "encoder.blocks.0.mlp.fc1.weight": 0.02,
        "box_net.deconv.0.weight": 0.001,
        "hand_position_net.conv.0.weight": 0.001,
        "body_regressor.body_pose_out.0.weight": 0.01,
        "body_regressor.body_pose_out.0.bias": 0,
        "hand_roi_net.deconv.1.bias": 0,
    }.items():
        assert state[name].std() == pytest.approx(std, rel=0.1), name
    assert (state["hand_roi_net.deconv.1.weight"] == 1).all()


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'xl', not one of s, b, l, h"):
        SmplerX("xl")
