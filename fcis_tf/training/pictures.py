"""What the network sees and answers, as pictures in TensorBoard."""

import numpy as np
import tensorflow as tf

from fcis_tf.config import InferenceConfig, config_as_yaml
from fcis_tf.data import IMAGE_MEAN, evaluation_batches
from fcis_tf.inference import Instances, render_instances
from fcis_tf.models.fcis import STRIDE
from fcis_tf.visualization import draw_boxes, draw_instances, draw_score_maps

IMAGES = 4
MIN_SCORE = 0.5
PROPOSALS = 50


class PictureWriter:
    """Draws the first images of the evaluation set every `training.images_every` steps.

    For each: the instances found beside the ground truth, the best proposals, and the score maps of the RoI with the
    highest score, laid out as in FCIS Figure 1, if the network has such maps. The configuration is written once, as
    text.

    Args:
        model: FCIS.
        detector: a Detector of the same model.
        source: the evaluation set, from `load_dataset`.
        config: a Config.
        model_dir: the curves' directory is in it.
        step: int64 tf.Variable, the global step.
    """

    def __init__(self, model, detector, source, config, model_dir, step):
        self._model = model
        self._detector = detector
        self._render = tf.function(render_instances, reduce_retracing=True)
        self._class_names = source.class_names
        self._config = config
        self._batches = evaluation_batches(source, config.data, batch_size=1).take(IMAGES)
        self._writer = tf.summary.create_file_writer(str(model_dir / "pictures"))
        self._step = step
        self._last = int(step.numpy())
        with self._writer.as_default():
            # Four spaces make it a block of code in Markdown.
            text = "\n".join("    " + line for line in config_as_yaml(config).splitlines())
            tf.summary.text("config", text, step=step)

    def __call__(self, train_output):
        """Draws, when it is time; `train_output` is what Orbit passes to every action."""
        step, every = int(self._step.numpy()), self._config.training.images_every
        if step // every > self._last // every or step == self._config.training.steps:
            with self._writer.as_default(step):
                for i, batch in enumerate(self._batches):
                    self._draw(batch, i)
            self._writer.flush()
        self._last = step

    def _draw(self, batch, i):
        maps = self._maps(batch["images"], batch["image_sizes"])
        batch = {name: values[0] for name, values in batch.items()}
        size = batch["image_sizes"].numpy()
        image = np.clip(batch["images"].numpy() + IMAGE_MEAN, 0, 255).round().astype(np.uint8)[: size[0], : size[1]]
        detections = self._detector(batch["images"][None], size[None])
        detections = {name: values[0] for name, values in detections.items()}
        found = _as_numpy(self._render(detections, batch["image_sizes"], self._config.inference))

        both = np.concatenate([self._draw_found(image, found), self._draw_truth(image, batch)], axis=1)
        valid = maps["proposals_valid"][0].numpy()
        proposals = maps["proposals"][0].numpy()[valid][:PROPOSALS]
        tf.summary.image(f"predictions_and_ground_truth/{i}", both[None])
        tf.summary.image(f"proposals/{i}", draw_boxes(image, proposals, -np.arange(len(proposals)))[None])
        # Other systems have no inside/outside score maps to draw.
        if detections["num_detections"] > 0 and "score_maps" in maps:
            box, label = detections["boxes"][0].numpy(), int(detections["classes"][0])
            drawing = self._draw_score_maps(image, maps["score_maps"][0].numpy().astype(np.float32), box, label)
            tf.summary.image(f"score_maps/{i}", drawing[None])

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, 2], tf.int32)])
    def _maps(self, images, image_sizes):
        return self._model.propose(images, image_sizes)

    def _draw_found(self, image, found):
        sure = found.scores >= MIN_SCORE
        found = Instances(*(values[sure] for values in found))
        return draw_instances(image, found.boxes, found.classes, found.scores, found.masks, self._class_names)

    def _draw_truth(self, image, batch):
        truth = {
            "boxes": batch["boxes"],
            "classes": batch["classes"],
            "scores": tf.ones_like(batch["classes"], tf.float32),
            "num_detections": tf.math.count_nonzero(batch["classes"], dtype=tf.int32),
            "rois": batch["boxes"],
            "roi_masks": tf.cast(batch["masks"], tf.float32),
            "votes": tf.eye(tf.shape(batch["boxes"])[0]),
        }
        truth = _as_numpy(self._render(truth, batch["image_sizes"], InferenceConfig(binary_threshold=0.5)))
        return draw_instances(image, truth.boxes, truth.classes, None, truth.masks, self._class_names)

    def _draw_score_maps(self, image, score_maps, box, label):
        return draw_score_maps(
            image,
            score_maps,
            box,
            label,
            self._class_names[label - 1],
            group_size=self._config.model.group_size,
            pooled_size=self._config.model.pooled_size,
            stride=STRIDE,
            binary_threshold=self._config.inference.binary_threshold,
        )


def _as_numpy(instances):
    return Instances(*(tensor.numpy() for tensor in instances))
