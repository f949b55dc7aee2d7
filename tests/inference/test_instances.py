"""Instances at full resolution, and their COCO results."""

import json

import numpy as np
import tensorflow as tf
from pycocotools import mask as coco_mask

from fcis_tf.inference import Instances, coco_results, instance_renderer, render_instances

SIDE = 4


def detections(boxes, count):
    number = len(boxes)
    return {
        "boxes": tf.zeros([number, 4]),
        "scores": tf.linspace(0.9, 0.1, number),
        "classes": tf.range(1, number + 1),
        "num_detections": tf.constant(count),
        "rois": tf.reshape(tf.constant(boxes, tf.float32), [-1, 4]),
        "roi_masks": tf.ones([number, SIDE, SIDE]),
        "votes": tf.eye(number),
    }


def render(boxes, count, image_size):
    instances = render_instances(detections(boxes, count), tf.constant(image_size), 0.4, False)
    return Instances(*(tensor.numpy() for tensor in instances))


def test_masks_have_the_resolution_of_the_image():
    instances = render([[10, 10, 30, 30]], 1, image_size=(50, 40))
    np.testing.assert_array_equal(instances.boxes, [[10, 10, 30, 30]])
    expected = np.zeros((50, 40), bool)
    expected[10:30, 10:30] = True
    np.testing.assert_array_equal(instances.masks[0], expected)
    np.testing.assert_array_equal(instances.classes, [1])


def test_leaves_out_padding_and_empty_masks():
    boxes = [[0, 0, 5, 5], [3.6, 3.6, 4.4, 4.4], [2, 3, 5, 9], [0, 0, 9, 9]]
    instances = render(boxes, 3, image_size=(10, 10))
    np.testing.assert_array_equal(instances.classes, [1, 3])
    np.testing.assert_array_equal(instances.boxes, [boxes[0], boxes[2]])
    np.testing.assert_allclose(instances.scores, [0.9, 0.9 - 0.8 * 2 / 3], rtol=1e-6)


def test_boxes_are_tight_around_masks():
    of_image = detections([[0, 0, 8, 8]], 1)
    quarter = np.zeros((1, SIDE, SIDE), np.float32)
    quarter[:, :2, 2:] = 1
    of_image["roi_masks"] = tf.constant(quarter)
    instances = render_instances(of_image, tf.constant([8, 8]), 0.5, False)
    mask = instances.masks.numpy()[0]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    tight = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
    np.testing.assert_array_equal(instances.boxes[0], tight)
    assert tight == [0, 4, 4, 8]


def test_no_detections():
    instances = render([[0, 0, 5, 5]], 0, image_size=(7, 9))
    assert instances.masks.shape == (0, 7, 9) and instances.boxes.shape == (0, 4)
    assert coco_results(instances, 1, [3]) == []


def test_one_graph_serves_any_number_of_instances_in_images_of_any_size():
    render = instance_renderer(0.4, False)
    for number, size in ((1, (10, 10)), (3, (31, 17)), (0, (5, 64)), (7, (1, 1))):
        instances = render(detections([[0.0, 0.0, *size]] * number, number), tf.constant(size))
        assert instances.masks.shape == (number, *size)
    assert render.experimental_get_tracing_count() == 1


def test_coco_results_carry_masks_and_tight_boxes():
    rng = np.random.default_rng(0)
    masks = rng.uniform(size=(3, 7, 9)) < 0.4
    boxes = np.float32([[0, 1, 7, 9], [2, 3, 4, 7], [0, 0, 7, 9]])
    instances = Instances(boxes, np.int32([1, 2, 1]), np.float32([0.5, 0.25, 0.125]), masks)
    results = json.loads(json.dumps(coco_results(instances, 42, [10, 20])))

    assert [result["image_id"] for result in results] == [42] * 3
    assert [result["category_id"] for result in results] == [10, 20, 10]
    assert [result["score"] for result in results] == [0.5, 0.25, 0.125]
    assert [result["bbox"] for result in results] == [[1, 0, 8, 7], [3, 2, 4, 2], [0, 0, 9, 7]]
    for result, mask in zip(results, masks, strict=True):
        np.testing.assert_array_equal(coco_mask.decode(result["segmentation"]), mask)
