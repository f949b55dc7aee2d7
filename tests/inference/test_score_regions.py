"""The network's outputs as probabilities."""

import numpy as np
import tensorflow as tf

from fcis_tf.inference import score_regions


class GivenOutputs:
    """A network whose outputs are given."""

    def __init__(self, outputs):
        self.outputs = outputs

    def __call__(self, images, image_sizes, second_pass, training):
        assert second_pass and not training
        return self.outputs


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def test_logits_become_probabilities():
    rng = np.random.default_rng(0)
    outputs = {
        "rois": rng.uniform(size=(2, 5, 4)),
        "rois_valid": rng.uniform(size=(2, 5)) < 0.5,
        "class_logits": rng.normal(0, 9, (2, 5, 4)).astype(np.float32),
        "mask_logits": rng.normal(0, 40, (2, 5, 3, 3, 2)).astype(np.float32),
    }
    model = GivenOutputs({name: tf.constant(value) for name, value in outputs.items()})
    regions = score_regions(model, tf.zeros([2, 16, 16, 3]), tf.fill([2, 2], 16), second_pass=True)
    np.testing.assert_array_equal(regions["rois"], outputs["rois"])
    np.testing.assert_array_equal(regions["rois_valid"], outputs["rois_valid"])
    np.testing.assert_allclose(regions["class_probs"], softmax(outputs["class_logits"]), rtol=1e-5)
    np.testing.assert_allclose(regions["mask_probs"], softmax(outputs["mask_logits"])[..., 1], rtol=1e-5, atol=1e-12)
