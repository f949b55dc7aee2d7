"""The configuration: what a YAML file may say, its defaults (the paper's) and its checks."""

import difflib
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from fcis_tf.errors import UserError
from fcis_tf.whole_file import write_text

Fraction = Annotated[float, Field(ge=0, le=1)]
# What TensorFlow's and NumPy's generators all take.
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Section(BaseModel):
    """A part of the configuration; keys that it does not know are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


class ProposalConfig(Section):
    """How RPN outputs become regions of interest (Faster R-CNN section 3.3, FCIS section 3.2)."""

    before_nms: PositiveInt = 6000
    nms_threshold: Fraction = 0.7
    after_nms: PositiveInt = 300
    # In pixels of the resized image.
    min_size: float = Field(0.0, ge=0)
    # What the candidates are ranked by; ChainerCV takes the logit.
    rank_by: Literal["probability", "foreground_logit"] = "probability"
    # Whether anchors of cells that the image covers in part are left out, as in the authors' code.
    whole_cells_only: bool = False


class ModelConfig(Section):
    """The network (FCIS section 3)."""

    backbone: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] = "resnet101"
    batch_norm: Literal["frozen", "trained"] = "frozen"
    batch_norm_momentum: Fraction = 0.99
    # Where the stem's max pooling pads: end, on the right and bottom, as in Caffe; both, as Keras's weights have it.
    stem_padding: Literal["end", "both"] = "end"
    frozen_stages: tuple[Literal["conv1", "conv2", "conv3", "conv4", "conv5"], ...] = ("conv1", "conv2")
    # Side of a square anchor in pixels of the resized image = scale x 16.
    anchor_scales: tuple[PositiveFloat, ...] = Field((8.0, 16.0, 32.0), min_length=1)
    # Height / width.
    anchor_ratios: tuple[PositiveFloat, ...] = Field((0.5, 1.0, 2.0), min_length=1)
    # Whether anchors' sides are multiples of whole pixels at scale 1, as in the authors' code.
    round_anchors: bool = False
    rpn_channels: PositiveInt = 512
    # What answers for the RoIs: FCIS's inside/outside score maps, or another of the systems that the paper compares,
    # see docs/ablations.md. rfcn finds boxes without masks, instance_fcn masks without classes; they find instances
    # together. The keys from here to pooled_size mean nothing to naive_mnc and mnc.
    head: Literal["inside_outside", "separate_maps", "naive_mnc", "mnc", "rfcn", "instance_fcn"] = "inside_outside"
    head_channels: PositiveInt = 1024
    group_size: PositiveInt = 7
    pooled_size: PositiveInt = 21
    # Side of instance_fcn's sliding windows in pixels of the resized image: its paper's 21 cells of 8 pixels.
    window: PositiveInt = 168
    # Whether RoIs are rounded to whole pixels before they are pooled, as the authors' operator does it.
    round_rois: bool = True
    # Box targets are divided by these: (dy, dx, dh, dw).
    box_target_stds: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = (0.2, 0.2, 0.5, 0.5)
    proposals: ProposalConfig = ProposalConfig()
    # mixed_bfloat16: convolutions in bfloat16, everything else in float32. More than twice as fast where the processor
    # has bfloat16 instructions, slower where it has none.
    # mixed_float16: the same in float16, for GPUs without bfloat16; training scales the loss.
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    # Whether training computes the trunk's activations a second time in the backward pass instead of keeping them: less
    # memory, more time, the same gradients.
    rematerialize: bool = False

    @pydantic.model_validator(mode="after")
    def _pooled_size_is_a_multiple(self):
        if self.pooled_size % self.group_size:
            raise ValueError(f"pooled_size {self.pooled_size} must be a multiple of group_size {self.group_size}")
        return self


class DigitsDataset(Section):
    """Scenes of handwritten digits, rendered from scikit-learn's bundled samples."""

    format: Literal["digits"]
    split: Literal["train", "eval"]
    # Number of scenes; 0 for an endless stream (training only).
    scenes: int = Field(0, ge=0)
    height: int = Field(256, ge=32)
    width: int = Field(320, ge=32)
    max_digits: PositiveInt = 8
    # Which digits there are; each is a class, in this order.
    digits: tuple[Annotated[int, Field(ge=0, le=9)], ...] = Field(tuple(range(10)), min_length=1)
    seed: Seed = 0

    @pydantic.field_validator("digits")
    @classmethod
    def _digits_differ(cls, digits):
        if len(set(digits)) < len(digits):
            raise ValueError("expected digits that differ")
        return digits


class CocoDataset(Section):
    """Images with annotations in COCO's JSON format."""

    format: Literal["coco"]
    images: Path
    annotations: Path
    # Only the first so many images by id; 0 for all.
    max_images: int = Field(0, ge=0)


class SbdDataset(Section):
    """Images of PASCAL VOC with SBD's masks."""

    format: Literal["sbd"]
    # SBD's folder dataset, with img, inst, train.txt and val.txt.
    root: Path
    # Either one of SBD's own lists, or the path of another, of whose images those are taken that SBD has.
    # ImageSets/Main/train.txt and val.txt of VOC 2012 give the paper's 5,623 and 5,732 images.
    split: Literal["train", "val"] | None = None
    image_list: Path | None = None
    # Only the first so many images of the list; 0 for all.
    max_images: int = Field(0, ge=0)

    @pydantic.model_validator(mode="after")
    def _one_list(self):
        if (self.split is None) == (self.image_list is None):
            raise ValueError("set either split, to train or val, or image_list, to the path of a list of images")
        return self


class VocDataset(Section):
    """Images of PASCAL VOC with its own masks."""

    format: Literal["voc"]
    # The folder VOC2012, with JPEGImages, SegmentationObject, SegmentationClass and ImageSets.
    root: Path
    # Which list of ImageSets/Segmentation.
    split: Literal["train", "val", "trainval"]
    # Only the first so many images of the list; 0 for all.
    max_images: int = Field(0, ge=0)


class TfrecordDataset(Section):
    """Images and instances in TFRecord files, in the layout of TensorFlow's Model Garden."""

    format: Literal["tfrecord"]
    # The files, by a pattern: data/coco/train-*.tfrecord
    records: str
    # A JSON file whose list categories, as COCO's, has the classes; without it they are those that to_tfrecord noted
    # beside its records, and for other records those that occur in them.
    categories: Path | None = None
    # Only the first so many records; 0 for all.
    max_images: int = Field(0, ge=0)


DATASET_FORMATS = {
    "digits": DigitsDataset,
    "coco": CocoDataset,
    "sbd": SbdDataset,
    "voc": VocDataset,
    "tfrecord": TfrecordDataset,
}
Dataset = Annotated[
    DigitsDataset | CocoDataset | SbdDataset | VocDataset | TfrecordDataset, Field(discriminator="format")
]


class DataConfig(Section):
    """Which images to train and to evaluate on, and how they are prepared (FCIS section 4)."""

    train: Dataset
    eval: Dataset
    short_side: PositiveInt = 600
    long_side: PositiveInt = 1000
    horizontal_flip: bool = True
    # Short sides to train at, each batch at one that is drawn at random; empty for short_side alone. long_side grows in
    # proportion. The paper's COCO entry trains at 480, 576, 688, 864, 1200 and 1400.
    train_scales: tuple[PositiveInt, ...] = ()
    # At scales above short_side, training sees random crops of this side, each with at least one object.
    crop_size: PositiveInt = 600
    # Instance masks travel cropped to their box at this size.
    mask_size: PositiveInt = 112
    # Whether a damaged image or an annotation that cannot be used stops the program; else it is left out and counted.
    strict: bool = False

    @pydantic.field_validator("eval")
    @classmethod
    def _eval_is_finite(cls, dataset):
        if dataset.format == "digits" and not dataset.scenes:
            raise ValueError("evaluation needs a finite data set, set scenes to 1 or more")
        return dataset


class LearningRateConfig(Section):
    """Piecewise constant learning rate with a linear warm-up."""

    # values[i] holds until step boundaries[i]; the last one to the end.
    values: tuple[PositiveFloat, ...] = Field((1e-3, 1e-4), min_length=1)
    boundaries: tuple[PositiveInt, ...] = (20_000,)
    warmup_steps: int = Field(0, ge=0)
    warmup_start: PositiveFloat = 1e-4
    # How many images a step the rates are for: with others they are scaled in proportion; null takes them as they are.
    images_per_step: PositiveInt | None = None
    # Factors for the variables whose path contains the key.
    multipliers: dict[str, float] = {"head/reduce": 3.0}

    @pydantic.model_validator(mode="after")
    def _boundaries_fit_values(self):
        if len(self.boundaries) != len(self.values) - 1 or list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError("boundaries must increase and be one fewer than values")
        return self


class LossWeights(Section):
    """Weights of the terms of the joint loss."""

    rpn_class: float = Field(1.0, ge=0)
    rpn_box: float = Field(1.0, ge=0)
    roi_class: float = Field(1.0, ge=0)
    roi_mask: float = Field(1.0, ge=0)
    roi_box: float = Field(1.0, ge=0)


class RpnTargetConfig(Section):
    """Which anchors the RPN learns from (Faster R-CNN section 3.1.2)."""

    anchors_per_image: PositiveInt = 256
    foreground_fraction: Fraction = 0.5
    foreground_iou: Fraction = 0.7
    background_iou: Fraction = 0.3


class RoiTargetConfig(Section):
    """Which RoIs the head learns from (FCIS section 3.3)."""

    # ohem: forward all proposals, learn from those of highest loss; sampled: draw them before the forward pass.
    selection: Literal["ohem", "sampled"] = "ohem"
    rois_per_image: PositiveInt = 128
    foreground_iou: Fraction = 0.5
    # Only for selection: sampled.
    foreground_fraction: Fraction = 0.25


class TrainingConfig(Section):
    """The optimisation (FCIS section 4)."""

    steps: PositiveInt = 30_000
    # Of all devices together. The loss is their mean, so that the number of devices changes nothing but the time.
    images_per_step: PositiveInt = 8
    # In so many passes, one after the other, every device goes through its images of a step: less memory, same step.
    accumulation_steps: PositiveInt = 1
    # mirrored: all GPUs of this machine; multi_worker: those of all machines in TF_CONFIG; auto: what there is.
    strategy: Literal["auto", "one_device", "mirrored", "multi_worker"] = "auto"
    learning_rate: LearningRateConfig = LearningRateConfig()
    momentum: Fraction = 0.9
    weight_decay: float = Field(5e-4, ge=0)
    # Gradients are scaled down to this global norm; null leaves them alone.
    gradient_clip_norm: PositiveFloat | None = None
    loss_weights: LossWeights = LossWeights()
    rpn_targets: RpnTargetConfig = RpnTargetConfig()
    roi_targets: RoiTargetConfig = RoiTargetConfig()
    seed: Seed = 0
    # Steps between updates of the progress bar and of TensorBoard's curves.
    log_every: PositiveInt = 20
    images_every: PositiveInt = 1000
    checkpoint_every: PositiveInt = 1000
    # 0: evaluate after the last step only; null: never, as where evaluate.py --watch does it meanwhile.
    evaluate_every: Annotated[int, Field(ge=0)] | None = 0
    # The last so many; MODEL_DIR/best holds the best one besides, by the masks' AP on data.eval.
    keep_checkpoints: PositiveInt = 3
    # The same numbers, bit by bit, whenever the same run is repeated on the same machine, or interrupted and resumed:
    # TensorFlow then takes operators that add up in a fixed order, which are slower on a GPU.
    deterministic: bool = False


class InferenceConfig(Section):
    """From RoIs to instances (FCIS section 3.4)."""

    # Pool again the RoIs moved by their own predicted offsets, doubling their number.
    second_pass: bool = True
    score_threshold: Fraction = 1e-3
    nms_threshold: Fraction = 0.3
    # Average the masks of all RoIs whose IoU with a detection is at least merge_threshold, weighted by their scores.
    mask_voting: bool = True
    merge_threshold: Fraction = 0.5
    binary_threshold: Fraction = 0.4
    # Threshold every mask before their average, and the average again, as the paper's authors' code does.
    threshold_first: bool = False
    max_detections: PositiveInt = 100
    # What an instance's box is: masks for the tight box of its mask, as in the paper's COCO entry; rois for the region
    # of interest that it was detected as.
    boxes: Literal["masks", "rois"] = "masks"
    # Short sides at which regions are scored, each region at the one where its area is nearest to 224 x 224 pixels;
    # empty for data.short_side alone, which proposals come from in any case. data.long_side grows in proportion. The
    # paper's are 480, 576, 688, 864, 1200 and 1400.
    test_scales: tuple[PositiveInt, ...] = ()
    # Score regions in the mirror image too, and average.
    horizontal_flip: bool = False

    @pydantic.field_validator("test_scales")
    @classmethod
    def _test_scales_differ(cls, scales):
        if len(set(scales)) < len(scales):
            raise ValueError("expected scales that differ")
        return scales


class Config(Section):
    """A whole experiment."""

    # Which weights training begins with: imagenet, for those of Keras; a file of a trunk's weights, of Keras (.h5 or
    # .keras) or MXNet (.params); or a model directory. Null for random ones.
    init: str | None = None
    # For a model directory of other classes: which of its classes ours begin as, {mine: theirs}.
    init_classes: dict[str, str] = {}
    model: ModelConfig = ModelConfig()
    data: DataConfig
    training: TrainingConfig = TrainingConfig()
    inference: InferenceConfig = InferenceConfig()


def load_config(path, overrides=()):
    """Reads and checks a configuration.

    Args:
        path: of a YAML file.
        overrides: strings "a.b=c" that replace single values; c is read as YAML.

    Returns:
        A Config.

    Raises:
        UserError: the file cannot be read, or a key or value is wrong; the message names the key.
    """
    values = read_yaml(path)
    for override in overrides:
        _apply_override(values, override)
    try:
        return Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise UserError(f"{path}: " + "; ".join(_describe(problem) for problem in error.errors())) from None


def save_config(config, path):
    """Writes a Config as YAML, such that `load_config` reads the same one back.

    A file that was there stays intact until the new one is complete.

    Raises:
        UserError: the file cannot be written.
    """
    write_text(config_as_yaml(config), path)


def config_as_yaml(config):
    """Returns a Config as YAML text."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def read_yaml(path):
    """Reads a YAML file whose content is a mapping.

    Returns:
        A dict.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    try:
        values = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot read this configuration: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a YAML mapping of sections, found {type(values).__name__}")
    return values


def _apply_override(values, override):
    path, equals, text = override.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise UserError(f"--override {override}: expected KEY.KEY=VALUE")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"--override {override}: the value is not YAML") from None
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise UserError(f"--override {override}: {key} is not a section")
    values[keys[-1]] = value


def _describe(problem):
    """Turns one of pydantic's errors into "model.backbone: what is wrong"."""
    location = problem["loc"]
    # Within data.train and data.eval pydantic names the format as if it were a key.
    path = ".".join(str(part) for i, part in enumerate(location) if not (i == 2 and part in DATASET_FORMATS))
    if problem["type"] == "extra_forbidden":
        return f"{path}: unknown key, did you mean {_nearest_key(location)}?"
    if problem["type"] == "missing":
        return f"{path}: this key is missing"
    found = problem["input"]
    if problem["type"] == "union_tag_not_found":
        return f"{path}.format: this key is missing"
    if problem["type"] == "union_tag_invalid":
        return f"{path}.format: expected {_alternatives(DATASET_FORMATS)}, found {found['format']!r}"
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{path}: expected keys with values, found {found!r}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{path}: {message}" if isinstance(found, (dict, Section)) else f"{path}: {message}, found {found!r}"


def _alternatives(names):
    *others, last = names
    return f"{', '.join(others)} or {last}"


def _nearest_key(location):
    section = Config
    for part in location[:-1]:
        section = DATASET_FORMATS.get(part) or section.model_fields[part].annotation
    return difflib.get_close_matches(str(location[-1]), section.model_fields, n=1, cutoff=0.0)[0]
