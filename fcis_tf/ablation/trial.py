"""One result of a table: a row's network of a seed, or its ensemble of all seeds, trained, evaluated and looked at."""

import dataclasses
import gc
import hashlib
import json
import logging
from pathlib import Path

import keras

from fcis_tf.ablation.examples import draw_examples
from fcis_tf.ablation.step_time import median_step_time
from fcis_tf.ablation.timed_predictor import TimedPredictor
from fcis_tf.config import Config
from fcis_tf.data import load_dataset
from fcis_tf.errors import UserError
from fcis_tf.evaluation import evaluate
from fcis_tf.inference import Predictor
from fcis_tf.json_file import write_json
from fcis_tf.model_directory import load_ensemble, load_mask_proposals
from fcis_tf.training import train
from fcis_tf.visualization import write_picture

_logger = logging.getLogger(__name__)

# Of the configuration, what changes nothing about a trained network.
_NOT_TRAINED_WITH = {
    "inference": True,
    "data": {"eval"},
    "training": {"seed", "log_every", "images_every", "checkpoint_every", "keep_checkpoints", "evaluate_every"},
}


@dataclasses.dataclass(frozen=True)
class Trial:
    """A result to be had: what to train, what to evaluate, and where the figures go.

    Attributes:
        row: the row's name.
        seeds: a tuple of one seed, or of several for an ensemble of their networks.
        config: the row's Config, whatever its seed.
        mask_proposals: Config of the network that proposes the masks, of the same seed; None if it is the same one.
        output: directory of all trials on a data set. Its folder `networks` holds the model directories; trials that
            train with the same configuration and seed share one.
        path: of the JSON file of the result, in a directory that exists; beside it is a picture of the first images,
            see `drawing`.
    """

    row: str
    seeds: tuple
    config: Config
    mask_proposals: Config | None
    output: Path
    path: Path

    def model_dirs(self):
        """Returns the model directory of each seed."""
        return [self._model_dir(self.config, seed) for seed in self.seeds]

    def _model_dir(self, config, seed):
        values = config.model_dump(mode="json", exclude_defaults=True, exclude=_NOT_TRAINED_WITH)
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
        return self.output / "networks" / f"{config.model.backbone}-{digest}-seed{seed}"

    def result(self):
        """Reads the result.

        Returns:
            A dict as `run` writes it; None if there is none yet, or only a damaged one or one of another configuration.
        """
        try:
            result = json.loads(self.path.read_text())
            is_ours = result["asked"] == self._asked() and _has_all_figures(result)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return result if is_ours else None

    def drawing(self):
        """Returns the path of the picture of what is found in the first images."""
        return self.path.with_suffix(".png")

    def is_done(self):
        """Returns whether there are both the result and the picture."""
        return self.result() is not None and self.drawing().exists()

    def run(self, progress=True):
        """Trains and evaluates, and writes the result and the picture; what is done already is not done again.

        Training that was interrupted goes on from its checkpoint, and a trained network is taken as it is.

        Args:
            progress: whether to show progress bars.

        Returns:
            A dict: asked, what the result is of; metrics, as metrics.json has them, with VOC's; step; images, their
            number; seconds_per_image, the median from the photograph to its masks, without the first image;
            seconds_per_step, see `median_step_time`, of a row of two networks the sum; None for an ensemble.

        Raises:
            UserError: see `train` and `load_ensemble`, the result cannot be written.
            Preempted, KeyboardInterrupt: see `train`.
        """
        result = self.result()
        if self.is_done():
            return result
        try:
            for config in self._configs():
                for seed in self.seeds:
                    _train(_with_seed(config, seed), self._model_dir(config, seed), progress)
            predictor, source, step = self._load()
            write_picture(draw_examples(predictor, source), self.drawing())
            if result is None:
                result = self._evaluate(predictor, source, step, progress)
                # Last of all, so that no picture of another configuration is taken for its own.
                write_json(result, self.path)
        except UserError as error:
            raise UserError(f"row '{self.row}', {_seeds(self.seeds)}: {error}") from None
        return result

    def _configs(self):
        return [self.config, self.mask_proposals] if self.mask_proposals else [self.config]

    def _asked(self):
        """Returns what determines the result, as JSON has it."""
        values = [
            config.model_dump(mode="json", exclude_defaults=True, exclude={"training": {"seed"}})
            for config in self._configs()
        ]
        configs = dict(zip(("config", "mask_proposals"), values, strict=False))
        return {"row": self.row, "seeds": list(self.seeds), **configs}

    def _load(self):
        """Returns a Predictor of the networks, the data set to evaluate on, and the step that the weights are from."""
        model_dirs, proposers_dir = self.model_dirs(), None
        if self.mask_proposals:
            proposers_dir = self._model_dir(self.mask_proposals, self.seeds[0])
        ensemble = load_ensemble(model_dirs, self.config, proposers_dir)
        mask_proposals = load_mask_proposals(proposers_dir, self.mask_proposals) if proposers_dir else None
        networks = [trained.model for trained in ensemble]
        # As evaluate.py does it.
        predictor = Predictor(networks, self.config, freeze=len(networks) == 1, mask_proposals=mask_proposals)
        return predictor, load_dataset(self.config.data, "eval"), ensemble[0].step

    def _evaluate(self, predictor, source, step, progress):
        _logger.info("evaluating row '%s', %s", self.row, _seeds(self.seeds))
        predictor = TimedPredictor(predictor)
        metrics = evaluate(predictor, source, self.config, progress, always_voc=True)
        used = [self._model_dir(config, seed) for config in self._configs() for seed in self.seeds]
        return {
            "asked": self._asked(),
            "networks": [str(model_dir.relative_to(self.output)) for model_dir in used],
            "step": step,
            "images": len(predictor.seconds),
            "metrics": metrics.as_json(),
            "seconds_per_image": predictor.median(),
            "seconds_per_step": self._seconds_per_step() if len(self.seeds) == 1 else None,
        }

    def _seconds_per_step(self):
        """Returns the sum over the row's networks; None if one is not known."""
        times = [median_step_time(config, self._model_dir(config, self.seeds[0])) for config in self._configs()]
        return None if None in times else sum(times)


def _has_all_figures(result):
    """Returns whether all that a table shows is there; raises KeyError, TypeError or AttributeError if not."""
    metrics = result["metrics"]
    figures = [*metrics["segm"].values(), metrics["voc"]["mAP50"], metrics["voc"]["mAP70"], result["seconds_per_image"]]
    if result["seconds_per_step"] is not None:
        figures.append(result["seconds_per_step"])
    return all(isinstance(figure, int | float) for figure in figures)


def _with_seed(config, seed):
    return config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})})


def _train(config, model_dir, progress):
    _forget_networks()
    train(config, model_dir, progress=progress)
    _forget_networks()


def _forget_networks():
    """Frees what Keras keeps: of a table's many networks, one at a time in memory."""
    keras.backend.clear_session()
    gc.collect()


def _seeds(seeds):
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
