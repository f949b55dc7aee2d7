"""The native operators in everything that TensorFlow does with operators, and against the portable ones."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcis_tf.ops import native, ps_assemble, ps_roi_pool

ROOT = Path(__file__).parents[2]
SIZES = {"group_size": 2, "pooled_size": 4, "stride": 16.0}
REFUSALS = (tf.errors.InvalidArgumentError, ValueError)


@pytest.fixture(scope="module", autouse=True)
def library():
    """The module of raw operators."""
    if native.reason_for_absence():
        pytest.skip(native.reason_for_absence())
    return native._library()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make_inputs(rng, images=2, height=4, width=5, classes=3, boxes=3, group_size=2):
    """Returns score maps, boxes, box indices and labels."""
    score_maps = rng.normal(size=(images, height, width, group_size**2 * classes * 2)).astype(np.float32)
    return (
        tf.constant(score_maps),
        tf.constant(rng.uniform(-20, 100, (boxes, 4)), tf.float32),
        tf.constant(rng.integers(max(images, 1), size=boxes), tf.int32),
        tf.constant(rng.integers(classes, size=boxes), tf.int32),
    )


def gradients_of(function, score_maps, *arguments, **options):
    """Returns a function's outputs, and the gradient of their sum of squares."""
    with tf.GradientTape() as tape:
        tape.watch(score_maps)
        outputs = tf.nest.flatten(function(score_maps, *arguments, **options))
        loss = tf.add_n([tf.reduce_sum(tf.cast(output, tf.float32) ** 2) for output in outputs])
    return *outputs, tape.gradient(loss, score_maps)


# Wrong inputs, given to the operators themselves


def raw_arguments(rng, operator):
    maps, boxes, indices, labels = make_inputs(rng)
    common = {"boxes": boxes, "box_indices": indices} | SIZES
    return {
        "ps_roi_pool": {"features": maps},
        "ps_roi_pool_grad": {"features_shape": tf.shape(maps), "output_gradient": tf.ones([3, 4, 4, 6])},
        "ps_assemble": {"score_maps": maps, "labels": labels, "best_class": False},
        "ps_assemble_grad": {
            "score_maps": maps,
            "mask_labels": labels,
            "class_logits_gradient": tf.ones([3, 3]),
            "mask_logits_gradient": tf.ones([3, 4, 4, 2]),
        },
    }[operator] | common


COMMON_FAULTS = [
    ({"boxes": tf.zeros([3, 5])}, r"boxes must have shape \[R, 4\], found \[3,5\]|must be 4 but is 5"),
    ({"boxes": tf.zeros([4])}, r"boxes must have shape \[R, 4\]|rank 2"),
    ({"box_indices": tf.zeros([2], tf.int32)}, r"box_indices must have shape \[3\], found \[2\]|must be equal"),
    ({"box_indices": tf.zeros([3, 1], tf.int32)}, r"box_indices must have shape \[3\]|rank 1"),
    ({"box_indices": tf.constant([0, -1, 0])}, r"box_indices\[1\] is -1, which is not in \[0, 2\)"),
    ({"box_indices": tf.constant([0, 1, 2])}, r"box_indices\[2\] is 2, which is not in \[0, 2\)"),
    ({"box_indices": tf.constant([-(2**31), 0, 0])}, r"box_indices\[0\] is -2147483648"),
    ({"group_size": 0}, "group_size"),
    ({"group_size": -2}, "group_size"),
    ({"group_size": 2**31 - 1, "pooled_size": 2**31 - 1}, "pooled_size"),
    ({"group_size": 2**62, "pooled_size": 2**62}, "pooled_size|group_size .* out of range"),
    ({"group_size": 3, "pooled_size": 6}, "9|18|must be equal"),
    ({"pooled_size": 0}, "pooled_size"),
    ({"pooled_size": 5}, "pooled_size 5 must be a multiple of group_size 2"),
    ({"pooled_size": 1026}, r"pooled_size must be in \[1, 1024\], found.* 1026"),
    *(({"stride": x}, "stride must be a positive number") for x in (0.0, -16.0, np.nan, np.inf, 1e-60, 1e60)),
]
FAULTS = {
    "ps_roi_pool": [
        ({"features": tf.zeros([4, 5, 24])}, "rank 4"),
        ({"features": tf.zeros([2, 4, 5, 23])}, "multiple of 4 channels, found 23|evenly divisible by 4 but is 23"),
        ({"features": tf.zeros([2, 0, 2**24 + 1, 24])}, "at most 16777216 rows and columns"),
        ({"features": tf.zeros([2, 0, 5, 2**31])}, "at most 2147483647 channels"),
        ({"features": tf.zeros([2, 0, 5, 2**62])}, "at most 2147483647 channels"),
        ({"features": tf.zeros([0, 4, 5, 24])}, r"box_indices\[0\] is ., which is not in \[0, 0\)"),
    ],
    "ps_roi_pool_grad": [
        ({"features_shape": tf.constant([2, 4, 24])}, "rank 4"),
        ({"features_shape": tf.constant([[2, 4, 5, 24]])}, "rank 1"),
        ({"features_shape": tf.constant([2, -4, 5, 24])}, "-4"),
        ({"features_shape": tf.constant([2**31 - 1] * 3 + [24])}, "overflow|too large|at most 16777216|more than"),
        ({"features_shape": tf.constant([2, 4, 5, 23])}, "multiple of 4 channels, found 23|evenly divisible by 4"),
        ({"output_gradient": tf.ones([3, 4, 4, 5])}, r"must have shape \[3,4,4,6\], found \[3,4,4,5\]|must be equal"),
        ({"output_gradient": tf.ones([2, 4, 4, 6])}, "output_gradient must have shape|must be equal"),
        ({"output_gradient": tf.ones([3, 8, 2, 6])}, "output_gradient must have shape|must be equal"),
        ({"output_gradient": tf.ones([3, 16, 6])}, "output_gradient must have shape|rank"),
    ],
    "ps_assemble": [
        ({"score_maps": tf.zeros([4, 5, 24])}, "rank 4"),
        ({"score_maps": tf.zeros([2, 4, 5, 20])}, "multiple of 8 channels, found 20|evenly divisible by 2"),
        ({"score_maps": tf.zeros([2, 0, 5, 2**62])}, "at most 2147483647 channels"),
        ({"score_maps": tf.zeros([2, 4, 5, 8]), "best_class": True}, "a class to choose from, found 1 classes"),
        ({"score_maps": tf.zeros([2, 4, 5, 0])}, r"labels\[0\] is ., which is not in \[0, 0\)"),
        ({"labels": tf.constant([0, 3, 0])}, r"labels\[1\] is 3, which is not in \[0, 3\)"),
        ({"labels": tf.constant([0, 0, -1])}, r"labels\[2\] is -1"),
        ({"labels": tf.constant([0, 0])}, r"labels must have shape \[3\], found \[2\]|must be equal"),
        ({"labels": tf.constant([[0, 0, 0]])}, "labels must have shape|rank 1"),
    ],
    "ps_assemble_grad": [
        ({"score_maps": tf.zeros([2, 4, 5, 20])}, "multiple of 8 channels|evenly divisible by 2"),
        ({"mask_labels": tf.constant([0, 3, 0])}, r"mask_labels\[1\] is 3"),
        ({"mask_labels": tf.constant([0, 0])}, "mask_labels must have shape|must be equal"),
        ({"class_logits_gradient": tf.ones([3, 4])}, "class_logits_gradient must have shape|must be equal"),
        ({"class_logits_gradient": tf.ones([9])}, "class_logits_gradient must have shape|rank"),
        ({"mask_logits_gradient": tf.ones([3, 4, 4, 1])}, "mask_logits_gradient must have shape|must be equal"),
        ({"mask_logits_gradient": tf.ones([3, 4, 5, 2])}, "mask_logits_gradient must have shape|must be equal"),
    ],
}


@pytest.mark.parametrize("mode", ["eager", "known shapes", "unknown shapes"])
@pytest.mark.parametrize(
    ("operator", "changes", "message"),
    [(operator, *fault) for operator, faults in FAULTS.items() for fault in COMMON_FAULTS + faults],
)
def test_wrong_inputs_are_named(library, rng, operator, changes, message, mode):
    run = getattr(library, f"fcis_tf_{operator}")
    arguments = raw_arguments(rng, operator) | changes
    tensors = {name: value for name, value in arguments.items() if tf.is_tensor(value)}
    attributes = {name: value for name, value in arguments.items() if name not in tensors}
    if mode == "known shapes":
        run = tf.function(run)
    if mode == "unknown shapes":
        signature = {name: tf.TensorSpec(None, value.dtype) for name, value in tensors.items()}
        graph = tf.function(lambda tensors: getattr(library, f"fcis_tf_{operator}")(**tensors, **attributes))
        with pytest.raises(REFUSALS, match=message):
            graph.get_concrete_function(signature)(tensors)
        return
    with pytest.raises(REFUSALS, match=message):
        run(**tensors, **attributes)


@pytest.mark.parametrize("dtype", [tf.float64, tf.int32])
def test_other_types_are_refused(rng, dtype):
    score_maps, boxes, indices, _ = make_inputs(rng)
    with pytest.raises(ValueError, match=f"expected float32, float16 or bfloat16, found {dtype.name}"):
        ps_assemble(tf.cast(score_maps, dtype), boxes, indices, **SIZES)


@pytest.mark.parametrize("stride", [0, -1, np.nan, np.inf])
@pytest.mark.parametrize("implementation", ["native", "portable"])
def test_strides_that_divide_nothing_are_refused(rng, stride, implementation):
    with pytest.raises(ValueError, match=f"stride {stride} must be a positive number"):
        ps_assemble(*make_inputs(rng), group_size=2, pooled_size=4, stride=stride, implementation=implementation)


def test_xla_refuses_the_operators_by_name(rng):
    score_maps, boxes, indices, _ = make_inputs(rng)
    compiled = tf.function(lambda maps: ps_roi_pool(maps, boxes, indices, **SIZES), jit_compile=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="FcisTf>PsRoiPool"):
        compiled(score_maps)


# Shapes


def test_graphs_know_what_is_known_of_shapes(rng):
    score_maps, boxes, indices, labels = make_inputs(rng)
    shapes = []
    specs = [tf.TensorSpec(None), tf.TensorSpec([None, 4]), tf.TensorSpec(None, tf.int32)]

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 24]), *specs[1:]])
    def run(maps, boxes, indices):
        class_logits, mask_logits, gradient = gradients_of(ps_assemble, maps, boxes, indices, **SIZES)
        pooled, pool_gradient = gradients_of(ps_roi_pool, maps, boxes, indices, **SIZES)
        tensors = class_logits, mask_logits, gradient, pooled, pool_gradient
        shapes.append([tensor.shape.as_list() for tensor in tensors])
        return tensors

    run(score_maps, boxes, indices)
    run(*make_inputs(rng, images=1, height=7, width=2, boxes=5)[:3])
    maps_shape = [None, None, None, 24]
    # Once: other sizes need no other graph.
    assert shapes == [[[None, 3], [None, 4, 4, 2], maps_shape, [None, 4, 4, 6], maps_shape]]

    @tf.function
    def run_known(maps, boxes, indices, labels):
        return [output.shape.as_list() for output in ps_assemble(maps, boxes, indices, labels, **SIZES)]

    assert run_known(score_maps, boxes, indices, labels) == [[3, 3], [3, 4, 4, 2]]


@pytest.mark.parametrize("implementation", ["native", "portable"])
@pytest.mark.parametrize("rank_known", [False, True])
def test_graphs_need_to_know_no_shape(rng, implementation, rank_known):
    inputs = make_inputs(rng)
    ranks = [4, 2, 1, 1]

    @tf.function(
        input_signature=[
            tf.TensorSpec([None] * rank if rank_known or implementation == "portable" else None, tensor.dtype)
            for tensor, rank in zip(inputs, ranks, strict=True)
        ]
    )
    def run(*inputs):
        return gradients_of(ps_assemble, *inputs, **SIZES, implementation=implementation)

    for output, expected in zip(run(*inputs), gradients_of(ps_assemble, *inputs, **SIZES), strict=True):
        np.testing.assert_allclose(output, expected, atol=1e-5)


@pytest.mark.parametrize(
    "sizes", [{"boxes": 0}, {"height": 0}, {"width": 0}, {"images": 0, "boxes": 0}, {"height": 0, "boxes": 0}]
)
@pytest.mark.parametrize("graph", [False, True])
def test_nothing_there(rng, sizes, graph):
    score_maps, boxes, indices, labels = make_inputs(rng, **sizes)
    count = len(boxes)
    for wanted in (labels, None):
        run = tf.function(gradients_of) if graph else gradients_of
        class_logits, mask_logits, gradient = run(ps_assemble, score_maps, boxes, indices, wanted, **SIZES)
        pooled, pool_gradient = run(ps_roi_pool, score_maps, boxes, indices, **SIZES)
        np.testing.assert_array_equal(class_logits, np.zeros([count, 3]))
        np.testing.assert_array_equal(mask_logits, np.zeros([count, 4, 4, 2]))
        np.testing.assert_array_equal(pooled, np.zeros([count, 4, 4, 6]))
        np.testing.assert_array_equal(gradient, np.zeros(score_maps.shape))
        np.testing.assert_array_equal(pool_gradient, np.zeros(score_maps.shape))


# The company that operators keep


def test_in_a_data_set(rng):
    score_maps, boxes, indices, _ = make_inputs(rng, images=4, boxes=4)
    data = tf.data.Dataset.from_tensor_slices((score_maps, boxes))
    data = data.map(lambda maps, box: ps_roi_pool(maps[None], box[None], [0], **SIZES)[0], num_parallel_calls=2)
    expected = ps_roi_pool(score_maps, boxes, range(4), **SIZES)
    np.testing.assert_array_equal(np.stack(list(data)), expected)


def test_in_mixed_precision(rng):
    _, boxes, indices, labels = make_inputs(rng)

    class Head(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.convolution = keras.layers.Conv2D(24, 1)

        def call(self, features):
            return ps_assemble(self.convolution(features), boxes, indices, labels, **SIZES)

    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        head = Head()
        with tf.GradientTape() as tape:
            outputs = head(tf.ones([2, 4, 5, 8]))
            loss = tf.add_n([tf.reduce_sum(tf.cast(output, tf.float32) ** 2) for output in outputs])
        gradients = tape.gradient(loss, head.trainable_variables)
    finally:
        keras.config.set_dtype_policy(previous)
    assert [output.dtype for output in outputs] == [tf.bfloat16] * 2
    assert [gradient.dtype for gradient in gradients] == [tf.float32] * 2
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


def run_script(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


MIRRORED = """
import numpy as np
import tensorflow as tf
from fcis_tf.ops import ps_assemble

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
sizes = {"group_size": 2, "pooled_size": 4, "stride": 16, "implementation": "native"}
with strategy.scope():
    scale = tf.Variable(1.0)

def step(score_maps):
    with tf.GradientTape() as tape:
        logits, masks = ps_assemble(score_maps * scale, [[0, 0, 60, 50]], [0], **sizes)
        loss = tf.reduce_sum(logits**2) + tf.reduce_sum(masks**2)
    return tf.distribute.get_replica_context().all_reduce("sum", tape.gradient(loss, scale))

# As replicas have them: of different sizes.
maps = [tf.random.stateless_normal([1, 3 + i, 5 - i, 24], [i, 0]) for i in range(2)]
per_replica = strategy.experimental_distribute_values_from_function(lambda c: maps[c.replica_id_in_sync_group])
total = strategy.run(tf.function(step, reduce_retracing=True), [per_replica])
alone = sum(float(tf.distribute.OneDeviceStrategy("CPU:0").run(step, [m])) for m in maps)
np.testing.assert_allclose([float(t) for t in strategy.experimental_local_results(total)], [alone, alone], rtol=1e-5)
print("done")
"""


def test_in_mirrored_replicas():
    assert run_script(MIRRORED).strip() == "done"


# Bits


BITS = """
import hashlib, sys
import numpy as np
import tensorflow as tf
from fcis_tf.ops import ps_assemble, ps_roi_pool

tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
rng = np.random.default_rng(0)
boxes = tf.constant(rng.uniform(-50, 600, (20, 4)), tf.float32)
indices = rng.integers(2, size=20)
# Of all magnitudes, least of all ordinary ones.
values = rng.normal(size=(2, 19, 32, 7 * 7 * 6)) * 10.0 ** rng.integers(-44, 2, (2, 19, 32, 1))
sizes = {"group_size": 7, "pooled_size": 21, "stride": 16, "implementation": "native"}
for dtype in (tf.float32, tf.float16, tf.bfloat16):
    maps = tf.cast(tf.constant(values, tf.float32), dtype)
    digests = set()
    for _ in range(3):
        bits = hashlib.sha256()
        for function in (ps_assemble, ps_roi_pool):
            with tf.GradientTape() as tape:
                tape.watch(maps)
                outputs = tf.nest.flatten(function(maps, boxes, indices, **sizes))
            gradient = tape.gradient(outputs, maps, [tf.cast(tf.abs(o) * 1e-3, dtype) for o in outputs])
            for tensor in (*outputs, gradient):
                bits.update(tensor.numpy().tobytes())
        digests.add(bits.hexdigest())
    print(dtype.name, digests)
    assert len(digests) == 1
"""


def test_the_same_bits_on_every_run_and_with_any_number_of_threads():
    assert run_script(BITS, 1) == run_script(BITS, 4)


@pytest.mark.parametrize("depth", [1, 16])
def test_all_halves_are_read_and_written(depth):
    # TensorFlow has the processor take subnormal floats for 0; subnormal halves are none of those.
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(1, 256, -1, depth)
    height, width = halves.shape[1:3]
    boxes = [(y, x, y + 1, x + 1) for y in range(height) for x in range(width)]
    sizes = {"group_size": 1, "pooled_size": 1, "stride": 1, "implementation": "native"}
    pooled = ps_roi_pool(halves, boxes, [0] * len(boxes), **sizes)
    np.testing.assert_array_equal(pooled.numpy().ravel(), halves.ravel())


# Native and portable


def random_call(rng):
    """Returns inputs and sizes; boxes lie within the map, over its border, beyond it, and are tiny or inverted."""
    group_size = int(rng.choice([1, 2, 3, 4, 7]))
    stride = float(rng.choice([1, 3, 8, 16, 21]))
    height, width = rng.integers(1, 10, 2)
    sizes = {"group_size": group_size, "pooled_size": group_size * int(rng.integers(1, 4)), "stride": stride}
    images, count = int(rng.integers(1, 4)), int(rng.integers(0, 7))
    score_maps, _, indices, labels = make_inputs(
        rng, images, height, width, int(rng.integers(2, 12)), boxes=count, group_size=group_size
    )
    boxes = rng.uniform(-0.3, 1.3, (count, 4)) * stride * np.array([height, width, height, width])
    if rng.random() < 0.3:
        boxes[:, 2:] = boxes[:, :2] + rng.uniform(-1, 2, (count, 2))
    return (score_maps, tf.constant(np.round(boxes * 2) / 2, tf.float32), indices, labels), sizes


def check_that_both_agree(seeds):
    for seed in seeds:
        (score_maps, boxes, indices, labels), sizes = random_call(np.random.default_rng(seed))
        for function, arguments in (
            (ps_roi_pool, ()),
            (ps_assemble, (labels,)),
            (ps_assemble, ()),
        ):
            results = [
                gradients_of(function, score_maps, boxes, indices, *arguments, **sizes, implementation=implementation)
                for implementation in ("native", "portable")
            ]
            for ours, theirs in zip(*results, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5, err_msg=f"seed {seed}")


def test_native_and_portable_agree_on_100_shapes():
    check_that_both_agree(range(100))


@pytest.mark.slow
def test_native_and_portable_agree_on_1000_shapes():
    check_that_both_agree(range(1000))


# Derivatives


@pytest.mark.parametrize("depth", [3, 20])
def test_pooling_and_its_gradient_agree_with_finite_differences(library, rng, depth):
    boxes, indices = [[0, 0, 30, 40], [-8, 10, 20, 50], [30, 30, 31, 31]], [0, 0, 0]
    features = tf.constant(rng.normal(size=(1, 2, 3, 4 * depth)), tf.float32)
    output_gradient = tf.constant(rng.normal(size=(3, 4, 4, depth)), tf.float32)

    def pool(features):
        return ps_roi_pool(features, boxes, indices, **SIZES, implementation="native")

    def pool_gradient(output_gradient):
        return library.fcis_tf_ps_roi_pool_grad([1, 2, 3, 4 * depth], boxes, indices, output_gradient, **SIZES)

    # Both are linear: a large step is an exact one.
    for function, argument in ((pool, features), (pool_gradient, output_gradient)):
        (analytic,), (numeric,) = tf.test.compute_gradient(function, [argument], delta=1.0)
        assert np.abs(analytic).max() > 0.1
        np.testing.assert_allclose(analytic, numeric, atol=1e-5)


def test_second_derivatives_of_pooling(rng):
    features, boxes, indices, _ = make_inputs(rng)
    direction = tf.constant(rng.normal(size=features.shape), tf.float32)

    def pool(features):
        return ps_roi_pool(features, boxes, indices, **SIZES, implementation="native")

    with tf.GradientTape() as outer:
        outer.watch(features)
        with tf.GradientTape() as inner:
            inner.watch(features)
            loss = tf.reduce_sum(pool(features) ** 3)
        slope = tf.reduce_sum(inner.gradient(loss, features) * direction)
    curvature = outer.gradient(slope, features)

    # The same by hand: pooling is linear, and x^3 has the second derivative 6 x.
    with tf.GradientTape() as tape:
        tape.watch(features)
        pooled = pool(features)
    expected = tape.gradient(pooled, features, 6 * pooled * pool(direction))
    assert np.abs(curvature).max() > 0.1
    np.testing.assert_allclose(curvature, expected, rtol=1e-4, atol=1e-4)


# Memory

OUT_OF_MEMORY = """
import resource
from pathlib import Path
import tensorflow as tf
from fcis_tf.ops import native

tf.config.threading.set_intra_op_parallelism_threads({threads})
sizes = dict(group_size=1, pooled_size=1, stride=1.0)
pool_gradient = native._library().fcis_tf_ps_roi_pool_grad
nothing = tf.zeros([0, 4]), tf.zeros([0], tf.int32), tf.zeros([0, 1, 1, 4], tf.float16)
pool_gradient([1, 2, 2, 4], *nothing, **sizes)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
# The gradient takes 512 MiB and finds room, the 256 MiB of a thread's sums do not.
resource.setrlimit(resource.RLIMIT_AS, (used + 700 * 2**20,) * 2)
try:
    pool_gradient([4, 4096, 4096, 4], *nothing, **sizes)
except tf.errors.ResourceExhaustedError as error:
    print(error.message)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts memory as Linux does")
@pytest.mark.parametrize("threads", [1, 2])
def test_too_little_memory_is_an_error_and_no_crash(threads):
    command = [sys.executable, "-c", OUT_OF_MEMORY.format(threads=threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "out of memory for a thread's sums" in done.stdout
