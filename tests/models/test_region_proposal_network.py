"""The region proposal network."""

import keras
import numpy as np
import tensorflow as tf

from fcis_tf.models import RegionProposalNetwork

ANCHORS = 3


def test_outputs_are_in_the_order_of_anchors():
    keras.utils.set_random_seed(0)
    network = RegionProposalNetwork(ANCHORS, channels=8)
    features = tf.random.stateless_normal([2, 4, 5, 6], [0, 0])
    logits, offsets = network(features)
    assert logits.shape == (2, 4 * 5 * ANCHORS, 2) and offsets.shape == (2, 4 * 5 * ANCHORS, 4)

    weights = {"/".join(v.path.split("/")[-2:]): v.numpy() for v in network.trainable_variables}
    hidden = tf.nn.relu(tf.nn.conv2d(features, weights["conv/kernel"], 1, "SAME") + weights["conv/bias"]).numpy()
    for y, x, anchor in ((0, 0, 0), (1, 2, 1), (3, 4, 2)):
        index = (y * 5 + x) * ANCHORS + anchor
        for name, values, size in (("logits", logits, 2), ("offsets", offsets, 4)):
            expected = hidden[:, y, x] @ weights[f"{name}/kernel"][0, 0] + weights[f"{name}/bias"]
            expected = expected[:, anchor * size : (anchor + 1) * size]
            np.testing.assert_allclose(values[:, index], expected, rtol=1e-4, atol=1e-6)


def test_round_trips_through_its_configuration():
    network = RegionProposalNetwork(12, channels=8, name="rpn")
    assert RegionProposalNetwork.from_config(network.get_config()).get_config() == network.get_config()
