"""The inner loop of training, as Orbit calls it."""

import math
import time

import numpy as np
import orbit
import tensorflow as tf

from fcis_tf.errors import UserError
from fcis_tf.losses import JointLoss

_ADVICE = (
    "training stops, checkpoints are from before. "
    "A lower training.learning_rate, a longer warm-up or training.gradient_clip_norm may help"
)


class NonFiniteLossError(UserError):
    """A term of the loss, or its gradient, became NaN or infinite."""


class Trainer(orbit.AbstractTrainer):
    """Runs training steps.

    Args:
        model: an `FCIS`.
        optimizer: a `fcis_tf.training.optimizer.Optimizer` of the model's trainable variables.
        batches: endless tf.data.Dataset of training batches (see `fcis_tf.data`), from the current step on.
        config: a `fcis_tf.config.TrainingConfig`.
        global_step: int64 tf.Variable, counted up by every step.
        bar: a tqdm bar that counts steps.
        skipped_images: a SkippedImages, which is told of every batch's.
    """

    def __init__(self, model, optimizer, batches, config, global_step, bar, skipped_images):
        self.model = model
        self.optimizer = optimizer
        self.global_step = global_step
        self._loss = JointLoss(model, config)
        self._config = config
        self._batches = iter(batches)
        self._bar = bar
        self._skipped_images = skipped_images
        # The signature leaves the sizes of images open, so that no size is traced anew.
        signature = [batches.element_spec, tf.TensorSpec([], tf.int64)]
        self._train_step = tf.function(self._step, input_signature=signature)

    def train(self, num_steps):
        """Runs `num_steps` steps; returns their mean losses, accuracies and so on, by TensorBoard's tags.

        Raises:
            NonFiniteLossError: a loss or its gradient was not finite; the message names the step and the term.
        """
        first_step = int(self.global_step.numpy())
        start = time.monotonic()
        outputs = []
        for _ in range(int(num_steps)):
            batch = next(self._batches)
            self._skipped_images.report(batch["skipped"].numpy())
            outputs.append(self._train_step(batch, self.global_step))
            self.global_step.assign_add(1)
            self._bar.update()
        outputs = [tf.nest.map_structure(lambda x: x.numpy(), output) for output in outputs]
        _check_finite(outputs, first_step)
        images_per_second = len(outputs) * self._config.images_per_step / (time.monotonic() - start)
        means = tf.nest.map_structure(_mean_of_known, *outputs)
        self._bar.set_postfix_str(f"loss {means['loss/total']:.3f}, {images_per_second:.1f} images/s")
        return {**means, "images_per_second": images_per_second}

    def _step(self, batch, step):
        with tf.GradientTape() as tape:
            maps = self.model.propose(batch["images"], batch["image_sizes"], training=True)
            seed = tf.random.fold_in([self._config.seed, 0], step)
            losses, accuracies = self._loss(maps, batch, seed)
            losses = {term: tf.reduce_sum(loss) / self._config.images_per_step for term, loss in losses.items()}
            total = tf.add_n(list(losses.values()))
        gradients = tape.gradient(total, self.model.trainable_variables)
        norm = self.optimizer.apply(gradients)
        return {
            **{f"loss/{term}": loss for term, loss in losses.items()},
            "loss/total": total,
            **{f"accuracy/{name}": fraction for name, fraction in accuracies.items()},
            "learning_rate": self.optimizer.schedule(step),
            "gradient_norm": norm,
        }


def _check_finite(outputs, first_step):
    for step, output in enumerate(outputs, start=first_step):
        losses = {name: value for name, value in output.items() if name.startswith("loss/")}
        for name, value in losses.items():
            if not math.isfinite(value):
                raise NonFiniteLossError(f"step {step}: {name} is {value}; {_ADVICE}")
        # A loss can stay finite with weights that are not: fused operators turn the NaN before a ReLU into 0.
        norm = output["gradient_norm"]
        if not math.isfinite(norm):
            terms = ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
            raise NonFiniteLossError(
                f"step {step}: the gradient's norm is {norm}, though the losses are finite ({terms}); {_ADVICE}"
            )


def _mean_of_known(*values):
    """Returns the mean of the values that are not NaN (an accuracy over no examples is)."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
