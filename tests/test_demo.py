"""The demo's own part: the scenes that it writes and draws on."""

import numpy as np
import pytest
from PIL import Image

from fcis_tf.config import load_config
from fcis_tf.data import load_dataset
from fcis_tf.demo import CONFIG, SCENES, demo_config, processor_computes_bfloat16, write_scenes


def test_scenes_are_those_of_the_evaluation(tmp_path):
    config = load_config(CONFIG)
    paths = write_scenes(config, tmp_path / "scenes")
    assert len(paths) == len(set(paths)) == SCENES
    source = load_dataset(config.data, "eval")
    sizes = {image["id"]: (image["width"], image["height"]) for image in source.ground_truth().imgs.values()}
    for path in paths:
        with Image.open(path) as image:
            assert image.size == sizes[int(path.stem)] and np.asarray(image).shape[2] == 3


@pytest.mark.parametrize("flags, expected", [("fma avx512_bf16", True), ("amx_tile amx_bf16", True), ("avx2", False)])
def test_bfloat16_is_found_among_the_processors_flags(tmp_path, flags, expected):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"model name\t: some\nflags\t\t: fpu {flags} sse\n")
    assert processor_computes_bfloat16(cpuinfo) is expected
    assert not processor_computes_bfloat16(tmp_path / "missing")


@pytest.mark.parametrize("found, precision", [(True, "mixed_bfloat16"), (False, "float32")])
def test_precision_fits_the_processor(monkeypatch, found, precision):
    monkeypatch.setattr("fcis_tf.demo.processor_computes_bfloat16", lambda: found)
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: [])
    assert demo_config().model.precision == precision
