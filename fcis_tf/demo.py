"""The main job on the embedded data set: `python -m fcis_tf.demo DIR` trains, evaluates and draws."""

import argparse
from pathlib import Path

import tensorflow as tf
from PIL import Image

from fcis_tf.command_line import run_program
from fcis_tf.config import load_config
from fcis_tf.data import load_dataset
from fcis_tf.evaluation import metrics_table
from fcis_tf.inference import Predictor
from fcis_tf.inference.predict_files import predict_files
from fcis_tf.model_directory import load_trained
from fcis_tf.training import train

CONFIG = Path("configs/digits.yaml")
SCENES = 12
NEXT_STEPS = """
Everything is in {model_dir}:
  metrics.json    COCO's metrics on {scenes} scenes of digits that training never saw
  overlays/       what the network finds in {drawn} of them
  scenes/         the same scenes as they are

What to type next:
  .venv/bin/tensorboard --logdir {model_dir}
  .venv/bin/python predict.py --model-dir {model_dir} {model_dir}/scenes/*.png --out predictions
  .venv/bin/python train.py --help"""


def main():
    parser = argparse.ArgumentParser(description="Trains FCIS on scenes of digits, evaluates it, draws what it finds.")
    parser.add_argument("model_dir", type=Path, help="directory for everything that is made")
    model_dir = parser.parse_args().model_dir

    config = demo_config()
    print("The demo trains on scenes of digits, which takes 12 minutes on two fast cores.")
    metrics = train(config, model_dir)
    trained = load_trained(model_dir)
    scenes = write_scenes(config, model_dir / "scenes")
    predictor = Predictor(trained.model, load_config(CONFIG, ["inference.score_threshold=0.5"]))
    predict_files(predictor, scenes, model_dir / "overlays", trained.class_names, trained.category_ids)
    print(f"\n{metrics_table(metrics)}")
    print(NEXT_STEPS.format(model_dir=model_dir, scenes=config.data.eval.scenes, drawn=SCENES))


def demo_config():
    """Returns the Config of the demo, in float32 where the processor would only emulate bfloat16."""
    if tf.config.list_physical_devices("GPU") or processor_computes_bfloat16():
        return load_config(CONFIG)
    print("this processor has no bfloat16 instructions: training in float32, which takes longer")
    return load_config(CONFIG, ["model.precision=float32"])


def processor_computes_bfloat16(cpuinfo=Path("/proc/cpuinfo")):
    """Returns whether Linux lists instructions for bfloat16 (AMX or AVX-512) among the processor's flags."""
    flags = cpuinfo.read_text().split() if cpuinfo.exists() else []
    return "amx_bf16" in flags or "avx512_bf16" in flags


def write_scenes(config, directory):
    """Writes the first evaluation scenes as PNG files and returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    source = load_dataset(config.data, "eval")
    paths = []
    for example in tf.data.Dataset.range(SCENES).map(source.example):
        path = directory / f"{int(example['image_id']):04d}.png"
        Image.fromarray(example["image"].numpy()).save(path)
        paths.append(path)
    return paths


if __name__ == "__main__":
    run_program(main)
