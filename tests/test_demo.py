"""The demo's own part: the scenes that it writes and draws on."""

import numpy as np
from PIL import Image

from fcis_tf.config import load_config
from fcis_tf.data import load_dataset
from fcis_tf.demo import CONFIG, SCENES, write_scenes


def test_scenes_are_those_of_the_evaluation(tmp_path):
    config = load_config(CONFIG)
    paths = write_scenes(config, tmp_path / "scenes")
    assert len(paths) == len(set(paths)) == SCENES
    source = load_dataset(config.data.eval, config.data.mask_size)
    sizes = {image["id"]: (image["width"], image["height"]) for image in source.ground_truth().imgs.values()}
    for path in paths:
        with Image.open(path) as image:
            assert image.size == sizes[int(path.stem)] and np.asarray(image).shape[2] == 3
