"""Networks of other programs: every name, every channel, and the program as a whole."""

import keras
import numpy as np
import pytest

from fcis_tf.convert.chainercv_format import CHAINERCV
from fcis_tf.convert.channel_orders import (
    FROM_XYWH,
    anchor_logit_order,
    anchor_offset_order,
    box_map_order,
    score_map_order,
)
from fcis_tf.convert.convert_network import convert_network
from fcis_tf.convert.detector_format import detector_values
from fcis_tf.convert.mxnet_format import MXNET
from fcis_tf.convert.source_arrays import SourceArrays
from fcis_tf.errors import UserError
from fcis_tf.model_directory import build_model, load_trained
from tests.tiny_config import tiny_config

MODEL = {"backbone": "resnet50", "anchor_scales": [4, 8, 16, 32], "anchor_ratios": [0.5, 1, 2]}
CONFIG = tiny_config(model=MODEL)
CLASSES, ANCHORS, SIZE = 20, 12, 3


@pytest.fixture(scope="module")
def model():
    return build_model(CONFIG, CLASSES)


def residual_names(blocks):
    """The names of the authors' residual convolutions, as their symbol has them: 2a_branch1, 4b22_branch2c..."""
    for stage, names in blocks.items():
        for i, name in enumerate(names):
            branches = ["branch2a", "branch2b", "branch2c"] + ["branch1"] * (i == 0)
            yield from (f"{stage}{name}_{branch}" for branch in branches)


AUTHORS_BLOCKS = {
    2: ["a", "b", "c"],
    3: ["a", "b1", "b2", "b3"],
    4: ["a", *(f"b{i}" for i in range(1, 23))],
    5: ["a", "b", "c"],
}
AUTHORS_NAMES = [
    *("arg:conv1_weight", "arg:bn_conv1_gamma", "arg:bn_conv1_beta"),
    *("aux:bn_conv1_moving_mean", "aux:bn_conv1_moving_var"),
    *(f"arg:res{name}_weight" for name in residual_names(AUTHORS_BLOCKS)),
    *(f"arg:bn{name}_{kind}" for name in residual_names(AUTHORS_BLOCKS) for kind in ("gamma", "beta")),
    *(f"aux:bn{name}_{kind}" for name in residual_names(AUTHORS_BLOCKS) for kind in ("moving_mean", "moving_var")),
    *("arg:rpn_conv_3x3_weight", "arg:rpn_conv_3x3_bias", "arg:rpn_cls_score_weight", "arg:rpn_cls_score_bias"),
    *("arg:rpn_bbox_pred_weight", "arg:rpn_bbox_pred_bias", "arg:conv_new_1_weight", "arg:conv_new_1_bias"),
    *("arg:fcis_cls_seg_weight", "arg:fcis_cls_seg_bias", "arg:fcis_bbox_weight", "arg:fcis_bbox_bias"),
]


class AnyShape(SourceArrays):
    """Source arrays that exist as soon as they are asked for."""

    def __init__(self):
        super().__init__({}, "any")
        self.taken, self._rng = {}, np.random.default_rng(0)

    def __contains__(self, name):
        return True

    def shape(self, name):
        return (SIZE * SIZE * 8,)

    def take(self, name, shape):
        self.taken[name] = self._rng.uniform(0.5, 1.5, tuple(shape)).astype(np.float32)
        return self.taken[name]


@pytest.fixture(scope="module", params=[MXNET, CHAINERCV], ids=["mxnet", "chainercv"])
def converted(request, model):
    """The layout, the arrays by the other program's names, and the values by our paths."""
    arrays = AnyShape()
    return request.param, arrays.taken, detector_values(model, arrays, request.param)


def test_every_variable_gets_its_value_from_an_array_of_its_own(converted, model):
    _, arrays, values = converted
    assert {path: value.shape for path, value in values.items()} == {
        variable.path: tuple(variable.shape) for variable in model.variables
    }
    assert len(arrays) == len(values)


@pytest.fixture(scope="module")
def authors_model():
    return build_model(tiny_config(model=MODEL | {"backbone": "resnet101"}), CLASSES)


def test_names_of_the_authors_network(authors_model):
    arrays = AnyShape()
    detector_values(authors_model, arrays, MXNET)
    assert sorted(arrays.taken) == sorted(AUTHORS_NAMES)
    assert len(AUTHORS_NAMES) == 532


def test_names_of_chainercv(authors_model):
    arrays = AnyShape()
    detector_values(authors_model, arrays, CHAINERCV)
    some = {
        "extractor/conv1/conv/W",
        "extractor/res2/a/residual_conv/bn/avg_var",
        "extractor/res4/b22/conv3/conv/W",
        "extractor/res5/b2/conv2/bn/gamma",
        "rpn/score/b",
        "head/ag_loc/W",
    }
    assert some <= set(arrays.taken)


def test_score_maps_lie_as_ours(converted):
    layout, arrays, values = converted
    theirs = arrays[layout.kernel_name(layout.score_maps)].reshape(CLASSES + 1, 2, SIZE, SIZE, -1)
    ours = values["fcis/head/score_maps/kernel"][0, 0]
    for label, side, row, column in [(0, 0, 0, 0), (7, 1, 2, 0), (20, 0, 1, 2), (3, 1, 0, 1)]:
        channel = ((row * SIZE + column) * (CLASSES + 1) + label) * 2 + side
        np.testing.assert_array_equal(ours[:, channel], theirs[label, side, row, column])


def test_box_maps_are_those_of_the_foreground(converted):
    layout, arrays, values = converted
    theirs = arrays[layout.bias_name(layout.box_maps)].reshape(2, 4, SIZE, SIZE)
    order = ["dx", "dy", "dw", "dh"] if layout is MXNET else ["dy", "dx", "dh", "dw"]
    ours = values["fcis/head/box_maps/bias"].reshape(SIZE, SIZE, 4)
    for i, name in enumerate(["dy", "dx", "dh", "dw"]):
        np.testing.assert_array_equal(ours[..., i], theirs[1, order.index(name)])


def test_anchors_lie_as_ours(converted):
    layout, arrays, values = converted
    logits = arrays[layout.bias_name(layout.rpn_logits)]
    logits = logits.reshape(2, ANCHORS).T if layout is MXNET else logits.reshape(ANCHORS, 2)
    np.testing.assert_array_equal(values["fcis/rpn/logits/bias"].reshape(ANCHORS, 2), logits)
    offsets = arrays[layout.bias_name(layout.rpn_offsets)].reshape(ANCHORS, 4)
    swapped = offsets[:, [1, 0, 3, 2]] if layout is MXNET else offsets
    np.testing.assert_array_equal(values["fcis/rpn/offsets/bias"].reshape(ANCHORS, 4), swapped)


def test_kernels_are_transposed(converted):
    layout, arrays, values = converted
    theirs = arrays[layout.kernel_name(layout.rpn_convolution)]
    np.testing.assert_array_equal(values["fcis/rpn/conv/kernel"][2, 0, 5, 7], theirs[7, 5, 2, 0])


def test_orders_are_permutations():
    for order in (score_map_order(3, 2), anchor_logit_order(5), anchor_offset_order(5, FROM_XYWH)):
        assert sorted(order) == list(range(len(order)))
    assert len(set(box_map_order(7, FROM_XYWH))) == 4 * 49


# The program


def chainercv_file(path, model, **changes):
    arrays = AnyShape()
    detector_values(model, arrays, CHAINERCV)
    arrays.taken["extractor/conv1/bn/N"] = np.array(100)
    np.savez(path, **(arrays.taken | changes))
    return arrays.taken


def test_model_directory_holds_the_network_its_classes_and_its_conventions(tmp_path, model):
    arrays = chainercv_file(tmp_path / "weights.npz", model)
    lines = convert_network("chainercv", tmp_path / "weights.npz", tmp_path / "out", CONFIG)
    assert lines == [
        f"{tmp_path / 'out'}: a network of 20 classes, 277 of whose 277 variables were loaded",
    ]
    trained = load_trained(tmp_path / "out")
    assert trained.class_names[14] == "person" and trained.category_ids == list(range(1, 21)) and trained.step == 0
    assert not trained.config.model.round_rois and trained.config.model.proposals.rank_by == "foreground_logit"
    assert trained.config.init is None and trained.config.model.box_target_stds == (0.2, 0.2, 0.5, 0.5)
    assert trained.config.model.proposals.after_nms == CONFIG.model.proposals.after_nms
    bias = {variable.path: variable for variable in trained.model.variables}["fcis/rpn/conv/bias"]
    np.testing.assert_array_equal(bias, arrays["rpn/conv1/b"])


def test_files_that_do_not_fit(tmp_path, model):
    def message(**changes):
        chainercv_file(tmp_path / "weights.npz", model, **changes)
        with pytest.raises(UserError) as error:
            convert_network("chainercv", tmp_path / "weights.npz", tmp_path / "out", CONFIG)
        assert not (tmp_path / "out").exists() and "\n" not in str(error.value)
        return str(error.value)

    assert "has 1 arrays that have no place in the network, such as 'extra'" in message(extra=np.zeros(3))
    assert "has negative variances" in message(**{"extractor/conv1/bn/avg_var": -np.ones(64)})
    expected = "rpn/loc/b has shape (4,); expected (48,)"
    assert message(**{"rpn/loc/b": np.zeros(4)}).endswith(expected)
    classes = {"head/cls_seg/W": np.zeros((8 * 2 * SIZE * SIZE, 32, 1, 1))}
    assert message(**classes).endswith("score maps of 7 classes; expected 20 or 80, VOC's or COCO's")
    chainercv_file(tmp_path / "weights.npz", model)
    other_system = tiny_config(model=MODEL | {"head": "naive_mnc"})
    with pytest.raises(UserError, match="a whole FCIS, but model.head is naive_mnc; expected inside_outside"):
        convert_network("chainercv", tmp_path / "weights.npz", tmp_path / "out", other_system)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="has no array extractor/conv1/conv/W"):
        convert_network("chainercv", tmp_path / "other.npz", tmp_path / "out", CONFIG)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="exists already"):
        convert_network("chainercv", tmp_path / "other.npz", tmp_path / "out", CONFIG)


@pytest.mark.parametrize(
    ("head", "variables", "conv5"), [("inside_outside", 277, "backbone/conv5"), ("mnc", 279, "head/conv5")]
)
def test_trunk_alone_makes_a_network_for_the_classes_of_the_data(tmp_path, head, variables, conv5):
    config = tiny_config(model={"backbone": "resnet50", "batch_norm": "frozen", "head": head})
    network = keras.applications.ResNet50(include_top=False, weights=None)
    network.save_weights(tmp_path / "trunk.weights.h5")
    first, second = convert_network("keras", tmp_path / "trunk.weights.h5", tmp_path / "out", config)
    assert f"10 classes, 265 of whose {variables} variables were loaded" in first and "random" in second
    trained = load_trained(tmp_path / "out")
    assert trained.config.model.stem_padding == "both" and trained.class_names == list("0123456789")
    values = {variable.path: variable for variable in trained.model.variables}
    kernel = values[f"fcis/{conv5}/block3/c/conv/kernel"]
    np.testing.assert_array_equal(kernel, network.get_layer("conv5_block3_3_conv").kernel)
