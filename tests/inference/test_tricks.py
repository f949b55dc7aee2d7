"""The names of the tricks in use."""

from fcis_tf.config import InferenceConfig
from fcis_tf.inference.tricks import tricks_in_use


def test_a_network_as_it_is_has_none():
    assert tricks_in_use(InferenceConfig()) == []
    assert tricks_in_use(InferenceConfig(second_pass=False, max_detections=3)) == []


def test_every_trick_has_a_name():
    config = InferenceConfig(test_scales=[480, 600], horizontal_flip=True, boxes="rois")
    assert tricks_in_use(config, 2) == [
        "2 networks",
        "inference.test_scales=[480, 600]",
        "inference.horizontal_flip=true",
        "inference.boxes=rois",
    ]
