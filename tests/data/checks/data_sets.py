"""Data sets for the checks: a healthy one, to be spoiled."""

import json

import numpy as np
import yaml
from PIL import Image

from fcis_tf.config import load_config
from fcis_tf.data.checks import Content, find_faults

HEIGHT, WIDTH = 96, 128


def house(x, y, width, height):
    """A polygon that is no rectangle, but whose tight box is."""
    return [x, y + height, x + width, y + height, x + width, y + height / 2, x + width / 2, y, x, y + height / 2]


class DataSet:
    """Three images of HEIGHT x WIDTH with two instances each, of the classes "cup" and "pot"."""

    def __init__(self, folder, name):
        self.folder, self.name = folder / name, name
        self.images = [
            {"id": 10 * i, "file_name": f"{name}{i}.png", "height": HEIGHT, "width": WIDTH} for i in (1, 2, 3)
        ]
        self.categories = [{"id": 3, "name": "cup"}, {"id": 7, "name": "pot"}]
        self.annotations = [
            self.annotation(image_id, category_id, box)
            for image_id, category_id, box in [
                (10, 3, (11.0, 13.0, 40.0, 50.0)),
                (10, 7, (70.0, 30.0, 45.0, 45.0)),
                (20, 3, (20.0, 20.0, 60.0, 55.0)),
                (20, 7, (5.0, 50.0, 38.0, 36.0)),
                (30, 3, (66.0, 8.0, 50.0, 40.0)),
                (30, 7, (60.0, 50.0, 61.0, 40.0)),
            ]
        ]
        self.folder.mkdir(parents=True)
        for i, image in enumerate(self.images):
            colors = np.random.default_rng(i).integers(0, 256, (4, 5, 3), np.uint8)
            Image.fromarray(colors).resize((WIDTH, HEIGHT)).save(self.folder / image["file_name"])

    def annotation(self, image_id, category_id, box):
        return {
            "id": 100 + image_id + category_id,
            "image_id": image_id,
            "category_id": category_id,
            "iscrowd": 0,
            "bbox": list(box),
            "area": box[2] * box[3] * 0.75,
            "segmentation": [house(*box)],
        }

    def content(self):
        return {"images": self.images, "annotations": self.annotations, "categories": self.categories}

    def write(self, text=None):
        """Writes the annotations, or another text in their stead, and returns the section of the configuration."""
        path = self.folder / "instances.json"
        path.write_text(json.dumps(self.content()) if text is None else text)
        return {"format": "coco", "images": str(self.folder), "annotations": str(path)}


def write_config(folder, train, evaluation, **model):
    """Writes a configuration of two sections, whose scale is that of the images, and returns its path."""
    path = folder / "config.yaml"
    data = {"train": train, "eval": evaluation, "short_side": HEIGHT, "long_side": WIDTH}
    anchors = {"anchor_scales": [2, 3, 4], "anchor_ratios": [0.5, 1, 2]} | model
    path.write_text(yaml.safe_dump({"data": data, "model": anchors}))
    return path


def faults(config_path, overrides=(), max_images=None):
    """Returns the Findings of a configuration."""
    config = load_config(config_path, overrides)
    contents = (Content(config.data, split) for split in ("train", "eval"))
    return list(find_faults(*contents, config, max_images))
