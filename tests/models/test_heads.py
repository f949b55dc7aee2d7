"""The heads of the compared systems: what each computes, and that all go through the same programs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.convert.initialization import initialize
from fcis_tf.convert.trunk_layers import trunk_layers
from fcis_tf.errors import UserError
from fcis_tf.losses import JointLoss
from fcis_tf.model_directory import build_model, describe_run, load_trained, save_network
from fcis_tf.models import HEADS
from fcis_tf.training.memory_estimate import estimate_memory
from tests.ops import slow_position_sensitive as slow
from tests.tiny_config import tiny_config

CLASSES, K, P = 3, 3, 9
SYSTEMS = {
    "inside_outside": {},
    "translation_invariant": {"group_size": 1},
    "separate_maps": {"head": "separate_maps"},
    "naive_mnc": {"head": "naive_mnc"},
    "mnc": {"head": "mnc"},
    "rfcn": {"head": "rfcn"},
}
MASKS = {"naive_mnc": 28, "mnc": 28, "rfcn": 0}
ROIS = np.float32([[0, 0, 63, 50], [10, 20, 80, 95], [5, 6, 40, 80], [30, 30, 34, 33]])
IMAGES = np.int32([1, 0, 1, 0])
LABELS = np.int32([1, 3, 2, 3])


def config_of(system, **changes):
    training = {"learning_rate": {"values": [0.02], "boundaries": [], "multipliers": {}}, "gradient_clip_norm": 10}
    return tiny_config(
        model={"frozen_stages": [], "batch_norm": "trained", **SYSTEMS[system]},
        training={**training, "roi_targets": {"selection": "sampled", "rois_per_image": 16}},
        **changes,
    )


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request):
    """The name of a system, its Config and its network."""
    keras.utils.set_random_seed(0)
    config = config_of(request.param)
    return request.param, config, build_model(config, CLASSES)


def head_of(name, depth=6):
    """Returns a head of its own, built for features of some channels, with biases that are not 0."""
    keras.utils.set_random_seed(1)
    head = HEADS[name].of_model(config_of(name).model, CLASSES, 16)
    head.build((None, None, None, depth))
    for layer in head._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            layer.kernel.assign(np.random.default_rng(3).normal(size=layer.kernel.shape) / layer.kernel.shape[0] ** 0.5)
            layer.bias.assign(np.random.default_rng(2).normal(size=layer.bias.shape))
    return head


def sizes(group_size, pooled_size):
    return {"group_size": group_size, "pooled_size": pooled_size, "stride": 16}


def test_separate_maps_by_a_slow_reading():
    rng = np.random.default_rng(0)
    depths = {"score_maps_of_classes": CLASSES + 1, "score_maps_of_masks": CLASSES, "box_maps": 4}
    maps = {name: rng.normal(size=(2, 6, 7, K * K * depth)).astype(np.float32) for name, depth in depths.items()}
    head = head_of("separate_maps")
    class_logits, mask_logits, box_offsets = head.assemble_indexed(maps, ROIS, IMAGES, LABELS)

    classes = slow.ps_roi_pool(maps["score_maps_of_classes"], ROIS, IMAGES, **sizes(K, K)).mean(axis=(1, 2))
    masks = slow.ps_roi_pool(maps["score_maps_of_masks"], ROIS, IMAGES, **sizes(K, P))
    boxes = slow.ps_roi_pool(maps["box_maps"], ROIS, IMAGES, **sizes(K, P)).mean(axis=(1, 2))
    own = np.stack([masks[i, :, :, label - 1] for i, label in enumerate(LABELS)])
    np.testing.assert_allclose(class_logits, classes, atol=1e-5)
    np.testing.assert_allclose(mask_logits[..., 1], own, atol=1e-5)
    assert not mask_logits[..., 0].numpy().any()
    np.testing.assert_allclose(box_offsets, boxes, atol=1e-5)
    of_rfcn = head_of("rfcn").assemble_indexed(maps, ROIS, IMAGES)
    np.testing.assert_array_equal(of_rfcn[0], class_logits)
    np.testing.assert_array_equal(of_rfcn[2], box_offsets)
    assert of_rfcn[1].shape == (4, 0, 0, 2)

    _, of_best, _ = head.assemble_indexed(maps, ROIS, IMAGES)
    best = classes[:, 1:].argmax(axis=1)
    np.testing.assert_allclose(of_best[..., 1], masks[np.arange(4), :, :, best], atol=1e-5)


def dense(layer, x):
    return x @ layer.kernel.numpy() + layer.bias.numpy()


def test_naive_mnc_by_a_slow_reading():
    head = head_of("naive_mnc")
    features = np.random.default_rng(0).normal(size=(2, 6, 7, 6)).astype(np.float32)
    maps = head(features)
    class_logits, mask_logits, box_offsets = head.assemble_indexed(maps, ROIS, IMAGES, LABELS)
    pooled = slow.ps_roi_pool(features, ROIS, IMAGES, **sizes(1, 7)).reshape(4, -1)
    np.testing.assert_allclose(class_logits, dense(head.classes, pooled), atol=1e-4)
    np.testing.assert_allclose(mask_logits[..., 1], dense(head.masks, pooled).reshape(4, 28, 28), atol=1e-4)
    np.testing.assert_allclose(box_offsets, dense(head.boxes, pooled), atol=1e-4)
    assert head.masks.units == 784 and head.classes.units == CLASSES + 1


def test_mnc_by_a_slow_reading():
    head = head_of("mnc")
    features = np.random.default_rng(0).normal(size=(2, 6, 7, 6)).astype(np.float32)
    class_logits, mask_logits, box_offsets = head.assemble_indexed(head(features), ROIS, IMAGES)
    pooled = slow.ps_roi_pool(features, ROIS, IMAGES, **sizes(1, 14)).astype(np.float32)
    masks = dense(head.masks, np.maximum(dense(head.mask_features, pooled.reshape(4, -1)), 0)).reshape(4, 28, 28)
    weights = (1 / (1 + np.exp(-masks))).reshape(4, 14, 2, 14, 2).mean(axis=(2, 4))
    whole, masked = (head.conv5(x).numpy() for x in (pooled, (pooled * weights[..., None]).astype(np.float32)))
    # conv5 halves the size.
    assert whole.shape[1:3] == (7, 7)
    whole, masked = whole.mean(axis=(1, 2)), masked.mean(axis=(1, 2))
    np.testing.assert_allclose(mask_logits[..., 1], masks, atol=1e-3)
    np.testing.assert_allclose(box_offsets, dense(head.boxes, whole), atol=1e-3)
    np.testing.assert_allclose(class_logits, dense(head.classes, np.hstack([whole, masked])), atol=1e-3)


def test_outputs_have_the_same_form_whatever_the_system(system):
    name, _, model = system
    maps = model.compute_maps(tf.zeros([2, 64, 96, 3]))
    assemble = tf.function(lambda rois: model.head.assemble(maps, rois), input_signature=[tf.TensorSpec([2, None, 4])])
    for count in (0, 5):
        outputs = assemble(tf.ones([2, count, 1]) * [0.0, 0.0, 40.0, 50.0])
        side = MASKS.get(name, P)
        assert [tuple(x.shape) for x in outputs] == [(2, count, CLASSES + 1), (2, count, side, side, 2), (2, count, 4)]
        assert all(x.dtype == tf.float32 for x in outputs)
    assert model.head.mask_size == side == model.head.mask_size_of(config_of(name).model)
    clone = type(model.head).from_config(model.head.get_config())
    assert clone.get_config() == model.head.get_config()


def make_batch():
    """Two images with an instance each; it fills the left half of its box."""
    rng = np.random.default_rng(4)
    masks = np.zeros([2, 1, 28, 28], np.uint8)
    masks[..., :14] = 1
    boxes = np.float32([[[8, 8, 50, 44]], [[16, 30, 60, 90]]])
    images = rng.normal(size=(2, 64, 96, 3)).astype(np.float32)
    for image, (y1, x1, y2, x2) in zip(images, boxes[:, 0].astype(int), strict=True):
        image[y1:y2, x1 : (x1 + x2) // 2] += 60
    return {
        "images": images,
        "image_sizes": np.int32([[64, 96]] * 2),
        "boxes": boxes,
        "classes": np.int32([[1], [3]]),
        "is_crowd": np.zeros([2, 1], bool),
        "masks": masks,
        "positions": np.int64([0, 1]),
    }


@pytest.mark.slow
def test_a_few_steps_lower_the_loss_and_gradients_reach_everything(system):
    name, config, model = system
    batch, loss = make_batch(), JointLoss(model, config.training)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, global_clipnorm=5.0)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            losses, _ = loss(model.propose(batch["images"], batch["image_sizes"], training=True), batch)
            total = tf.add_n([tf.reduce_mean(values) for values in losses.values()])
        return total, losses, tape.gradient(total, model.trainable_variables)

    totals = []
    for _ in range(12):
        total, losses, gradients = step()
        if not totals:
            first = losses
            paths = [variable.path for variable in model.trainable_variables]
            unreached = [path for path, x in zip(paths, gradients, strict=True) if x is None or not np.any(x)]
            assert not unreached
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        totals.append(float(total))
    assert np.isfinite(totals).all() and totals[-1] < 0.8 * totals[0]
    for term in ("roi_class", "roi_mask") if model.head.mask_size else ("roi_class",):
        assert tf.reduce_mean(losses[term]) < tf.reduce_mean(first[term])


@pytest.mark.slow
def test_a_model_directory_knows_its_system(system, tmp_path):
    name, config, model = system
    names = ["a", "b", "c"]
    describe_run(tmp_path, config, names, [1, 2, 3])
    save_network(model, tmp_path)
    trained = load_trained(tmp_path)
    assert type(trained.model.head) is type(model.head)
    images = tf.random.stateless_normal([1, 64, 64, 3], [0, 0])
    ours, theirs = model(images), trained.model(images)
    for key in ("class_logits", "mask_logits", "box_offsets"):
        np.testing.assert_allclose(ours[key], theirs[key], atol=1e-5)

    other = next(key for key in HEADS if key != config.model.head)
    with pytest.raises(UserError, match=f"^model.head is {other}, but {config.model.head} in the network"):
        load_trained(tmp_path, config_of(other))

    # Another's classes begin as those named; its other layers as they are.
    fresh = build_model(config, 2)
    lines = initialize(fresh, config_of(name, init=str(tmp_path), init_classes={"x": "c"}), ["w", "x"])
    for layer, (first, values) in model.head.class_channels.items():
        bias, theirs = (
            next(v.numpy() for v in m.variables if v.path.endswith(f"head/{layer}/bias")) for m in (fresh, model)
        )
        bias, theirs = bias.reshape(-1, 3 - first, values), theirs.reshape(-1, 4 - first, values)
        np.testing.assert_array_equal(bias[:, 2 - first], theirs[:, 3 - first])
    assert "random" not in " ".join(line for line in lines if "as before" in line), lines


def test_all_of_the_trunk_is_found_wherever_it_works(system):
    _, _, model = system
    layers = trunk_layers(model)
    assert len(layers) == 20 and {layer.stage for layer in layers} == {1, 2, 3, 4, 5}


def test_memory_is_foretold(system):
    name, config, _ = system
    estimate, _ = estimate_memory(config, CLASSES, 2)
    has_score_maps = name in ("inside_outside", "translation_invariant", "separate_maps", "rfcn")
    assert estimate.peak > estimate.weights > 40e6
    # Their gradient may be gone at the fullest moment.
    assert has_score_maps or not estimate.score_maps
