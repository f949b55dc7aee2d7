"""The inner loop of training, as Orbit calls it."""

import collections
import math
import time

import numpy as np
import orbit
import tensorflow as tf

from fcis_tf.errors import UserError
from fcis_tf.losses import InstanceFCNLoss, JointLoss
from fcis_tf.models import InstanceFCN
from fcis_tf.training.gradient_accumulation import GradientSums
from fcis_tf.training.loss_scale import SMALLEST
from fcis_tf.training.profile import Profile
from fcis_tf.training.strategy import largest_and_smallest

_ADVICE = (
    "training stops, checkpoints are from before. "
    "A lower training.learning_rate, a longer warm-up or training.gradient_clip_norm may help"
)


class NonFiniteLossError(UserError):
    """A term of the loss, or its gradient, became NaN or infinite."""


class Trainer(orbit.AbstractTrainer):
    """Runs training steps.

    A step goes through `accumulation_steps` batches on each replica of the strategy in whose scope the trainer is made.
    Its loss is the mean over the images of all of these, so that it does not matter on how many replicas they are.

    Args:
        model: an `FCIS` or an `InstanceFCN`.
        optimizer: a `fcis_tf.training.optimizer.Optimizer` of the model's trainable variables.
        batches: endless data set of training batches (see `fcis_tf.data`), from the current step on, distributed by the
            strategy.
        config: a `fcis_tf.config.TrainingConfig`.
        global_step: int64 tf.Variable, counted up by every step.
        bar: a tqdm bar that counts steps.
        skipped_images: a SkippedImages, which is told of every batch's.
        stop: a function without arguments, called after every step, which says whether to stop there. Of several
            workers all stop when any wants to, after the last step of a call of `train`.
        profile: a Profile, or None.

    Attributes:
        stopped: whether the last call of `train` ended because `stop` said so.
    """

    def __init__(
        self, model, optimizer, batches, config, global_step, bar, skipped_images, stop=lambda: False, profile=None
    ):
        self.model = model
        self.optimizer = optimizer
        self.global_step = global_step
        self._strategy = tf.distribute.get_strategy()
        self._loss = (InstanceFCNLoss if isinstance(model, InstanceFCN) else JointLoss)(model, config)
        self._config = config
        self._batches = iter(batches)
        self._bar = bar
        self._skipped_images = skipped_images
        self._stop = stop
        self._profile = profile or Profile(None, "")
        self.stopped = False
        self._is_one_of_several = isinstance(self._strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._sums = GradientSums(model.trainable_variables) if config.accumulation_steps > 1 else None
        # The signature leaves the sizes of images open, so that no size is traced anew.
        signature = [batches.element_spec]
        self._accumulate = tf.function(self._accumulate_gradients, input_signature=signature)
        self._finish_step = tf.function(self._finish_step, input_signature=signature)

    def train(self, num_steps):
        """Runs `num_steps` steps, or fewer if it is to stop.

        Returns:
            Their mean losses, accuracies and so on, by TensorBoard's tags.

        Raises:
            NonFiniteLossError: a loss or its gradient was not finite; the message names the step and the term.
        """
        first_step = int(self.global_step.numpy())
        start = time.monotonic()
        outputs = []
        for _ in range(int(num_steps)):
            with self._profile.step(first_step + len(outputs)):
                passes = [self._accumulate(self._next_batch()) for _ in range(self._config.accumulation_steps - 1)]
                outputs.append([*passes, self._finish_step(self._next_batch())])
            self.global_step.assign_add(1)
            self._bar.update()
            wants_to_stop = self._stop()
            if wants_to_stop and not self._is_one_of_several:
                break
        self.stopped = bool(largest_and_smallest(self._strategy, int(wants_to_stop))[0])
        outputs = [_sum_of_passes(passes) for passes in outputs]
        self._check_finite(outputs, first_step)
        images_per_second = len(outputs) * self._config.images_per_step / (time.monotonic() - start)
        means = _means(outputs)
        self._bar.set_postfix_str(f"loss {means['loss/total']:.3f}, {images_per_second:.1f} images/s")
        return {**means, "images_per_second": images_per_second}

    def _next_batch(self):
        batch = next(self._batches)
        for skipped in self._strategy.experimental_local_results(batch["skipped"]):
            self._skipped_images.report(skipped.numpy())
        return batch

    def _accumulate_gradients(self, batch):
        """Runs a pass of a step that is not the last; returns its sums."""

        def of_replica(batch):
            gradients, sums = self._differentiate(batch)
            self._sums.add(gradients)
            return sums

        return self._of_any_replica(self._strategy.run(of_replica, (batch,)))

    def _finish_step(self, batch):
        """Runs the last pass of a step, and updates the network; returns its sums and the values of the step."""

        def of_replica(batch):
            gradients, sums = self._differentiate(batch)
            return self._sums.finish(gradients) if self._sums else gradients, sums

        gradients, sums = self._strategy.run(of_replica, (batch,))
        step = {"learning_rate": self.optimizer.learning_rate}
        if self.optimizer.loss_scale:
            step["loss_scale"] = tf.identity(self.optimizer.loss_scale.factor.value)
        step["gradient_norm"] = self.optimizer.apply(gradients)
        return self._of_any_replica(sums) | step

    def _differentiate(self, batch):
        """Returns a replica's gradients, and by TensorBoard's tags the losses and, as counts, the accuracies of all."""
        with tf.GradientTape() as tape:
            maps = self.model.propose(batch["images"], batch["image_sizes"], training=True)
            losses, accuracies = self._loss(maps, batch)
            losses = {term: tf.reduce_sum(loss) / self._config.images_per_step for term, loss in losses.items()}
            total = tf.add_n(list(losses.values()))
            scaled = self.optimizer.scale_loss(total)
        gradients = tape.gradient(scaled, self.model.trainable_variables)
        losses = {f"loss/{term}": loss for term, loss in losses.items()} | {"loss/total": total}
        sums = losses | {f"accuracy/{name}": counts for name, counts in accuracies.items()}
        return gradients, tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, sums)

    def _of_any_replica(self, values):
        """Returns the values of one replica, of those that are equal on all."""
        return {name: self._strategy.experimental_local_results(value)[0] for name, value in values.items()}

    def _check_finite(self, outputs, first_step):
        for step, output in enumerate(outputs, start=first_step):
            losses = {name: value for name, value in output.items() if name.startswith("loss/")}
            for name, value in losses.items():
                if not math.isfinite(value):
                    raise NonFiniteLossError(f"step {step}: {name} is {value}; {_ADVICE}")
            # A loss can stay finite with weights that are not: fused operators turn the NaN before a ReLU into 0.
            norm = output["gradient_norm"]
            if not math.isfinite(norm) and not self._can_scale_less(output):
                terms = ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
                raise NonFiniteLossError(
                    f"step {step}: the gradient's norm is {norm}, though the losses are finite ({terms}); {_ADVICE}"
                )

    @staticmethod
    def _can_scale_less(output):
        """Returns whether a step was left out because its scaled gradients overflowed, and the next may not be."""
        return output.get("loss_scale", 0.0) > SMALLEST


def _sum_of_passes(passes):
    """Returns the sums and values of a step whose passes have returned theirs, as NumPy's."""
    total = collections.defaultdict(float)
    for sums in passes:
        for name, value in sums.items():
            total[name] = total[name] + value.numpy()
    return total


def _means(outputs):
    """Returns the means over steps of all values that are finite; accuracies are over all examples of the steps."""
    means = {}
    for name in outputs[0]:
        values = np.array([output[name] for output in outputs])
        if name.startswith("accuracy/"):
            correct, among = values.sum(axis=0)
            means[name] = float(correct / among) if among else math.nan
        else:
            finite = values[np.isfinite(values)]
            means[name] = float(finite.mean()) if len(finite) else math.nan
    return means
