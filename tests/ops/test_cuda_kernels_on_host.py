"""The CUDA kernels, compiled as C++ and run on the host: what a machine without a GPU can tell about them.

Memory that a kernel may not touch lies on both sides of every array: to read it gives NaN, to write it is noticed.
"""

import ctypes
import shutil
import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from tests.ops import slow_position_sensitive as slow
from tests.ops import write_gpu_check_cases

HERE = Path(__file__).parent
KERNELS = HERE.parents[1] / "fcis_tf" / "ops" / "cc" / "kernels"
REFERENCE = HERE.parents[2] / "shared" / "reference"
COMPILE = ["g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-DFCIS_TF_HOST_SHIM"]
COMPILE += [f"-I{HERE}", f"-I{KERNELS}", "-x", "c++"]
TYPES = [np.float32, np.float16, ml_dtypes.bfloat16]
GUARD = 256
# Reads beyond an array whose result is not used are found by these alone.
SANITIZERS = ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"]


class Sizes(ctypes.Structure):
    """`fcis_tf::Sizes`."""

    _fields_ = [(name, ctypes.c_int64) for name in ("batch", "height", "width", "depth", "boxes")]
    _fields_ += [("group_size", ctypes.c_int), ("pooled_size", ctypes.c_int), ("stride", ctypes.c_float)]


class Guarded:
    """A copy of an array between guards."""

    def __init__(self, array):
        self._bytes = np.full(array.nbytes + 2 * GUARD, 0xFF, np.uint8)
        self.array = self._bytes[GUARD:-GUARD].view(array.dtype).reshape(array.shape)
        self.array[...] = array

    def pointer(self):
        return ctypes.c_void_p(self.array.ctypes.data)

    def assert_intact(self):
        assert (self._bytes[:GUARD] == 0xFF).all() and (self._bytes[-GUARD:] == 0xFF).all()


class Kernels:
    """The launchers, on arrays of NumPy."""

    def __init__(self, library):
        self._library = ctypes.CDLL(str(library))

    def reverse_threads(self, reversed_):
        self._library.reverse_threads(int(reversed_))

    def pool(self, features, boxes, box_indices, **sizes):
        depth = features.shape[-1] // sizes["group_size"] ** 2
        shape = len(boxes), sizes["pooled_size"], sizes["pooled_size"], depth
        inputs = features, np.float32(boxes), np.int32(box_indices)
        (output,) = self._call("pool", features, len(boxes), sizes, inputs, [(shape, features.dtype)])
        return output

    def pool_gradient(self, features, boxes, box_indices, output_gradient, **sizes):
        inputs = np.float32(boxes), np.int32(box_indices), output_gradient.astype(features.dtype)
        outputs = [(features.shape, features.dtype)]
        return self._call("pool_gradient", features, len(boxes), sizes, inputs, outputs)[0]

    def assemble(self, score_maps, boxes, box_indices, labels, **sizes):
        classes, side = score_maps.shape[-1] // sizes["group_size"] ** 2 // 2, sizes["pooled_size"]
        inputs = score_maps, np.float32(boxes), np.int32(box_indices), None if labels is None else np.int32(labels)
        shapes = (len(boxes), classes), (len(boxes), side, side, 2)
        outputs = [(shape, score_maps.dtype) for shape in shapes] + [((len(boxes),), np.int32)]
        return self._call("assemble", score_maps, len(boxes), sizes, inputs, outputs)

    def assemble_gradient(self, score_maps, boxes, box_indices, mask_labels, gradients, **sizes):
        inputs = score_maps, np.float32(boxes), np.int32(box_indices), np.int32(mask_labels)
        inputs += tuple(gradient.astype(score_maps.dtype) for gradient in gradients)
        outputs = [(score_maps.shape, score_maps.dtype)]
        return self._call("assemble_gradient", score_maps, len(boxes), sizes, inputs, outputs)[0]

    def _call(self, name, features, boxes, sizes, inputs, outputs):
        batch, height, width, channels = features.shape
        group_size = sizes["group_size"]
        sizes = Sizes(batch, height, width, channels // group_size**2, boxes, *sizes.values())
        # What is not written stays NaN.
        outputs = [
            np.full(shape, -1, dtype) if dtype == np.int32 else np.full(shape, np.nan, dtype)
            for shape, dtype in outputs
        ]
        arrays = [None if array is None else Guarded(array) for array in (*inputs, *outputs)]
        pointers = [None if array is None else array.pointer() for array in arrays]
        kind = [np.dtype(t) for t in TYPES].index(features.dtype)
        assert getattr(self._library, name)(kind, ctypes.byref(sizes), *pointers) == 0
        for array in arrays:
            if array is not None:
                array.assert_intact()
        return [array.array for array in arrays[len(inputs) :]]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    if not shutil.which("g++"):
        pytest.skip("there is no g++")
    library = tmp_path_factory.mktemp("cuda") / "kernels.so"
    compile_with_shim("cuda_kernels_on_host.cc", library, "-fPIC", "-shared")
    return Kernels(library)


def compile_with_shim(source, target, *flags):
    command = [*COMPILE, *flags, KERNELS / "position_sensitive_gpu.cu", HERE / source, "-o", target]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def load_case(name):
    path = REFERENCE / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    case = np.load(path)
    return case, {name: int(case[name]) for name in ("group_size", "pooled_size", "stride")}


# Golden vectors of MXNet 1.9.1


@pytest.mark.parametrize("k", [1, 3, 7])
def test_pooling_equals_mxnet(kernels, k):
    case, sizes = load_case(f"ps_roi_pool_k{k}")
    arguments = [case[name] for name in ("features", "boxes", "box_indices")]
    np.testing.assert_allclose(kernels.pool(*arguments, **sizes), case["output"], atol=1e-5)
    gradient = kernels.pool_gradient(*arguments, case["output_grad"], **sizes)
    np.testing.assert_allclose(gradient, case["features_grad"], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_assembly_equals_mxnet(kernels, k):
    case, sizes = load_case(f"ps_assemble_k{k}")
    arguments = [case[name] for name in ("score_maps", "boxes", "box_indices", "labels")]
    class_logits, mask_logits, mask_labels = kernels.assemble(*arguments, **sizes)
    np.testing.assert_allclose(class_logits, case["class_logits"], atol=1e-5)
    np.testing.assert_allclose(mask_logits, case["mask_logits"], atol=1e-5)
    np.testing.assert_array_equal(mask_labels, case["labels"])
    gradients = case["class_logits_grad"], case["mask_logits_grad"]
    gradient = kernels.assemble_gradient(*arguments, gradients, **sizes)
    np.testing.assert_allclose(gradient, case["score_maps_grad"], rtol=1e-5, atol=2e-5)


# The definition, as loops


def draw_case(seed, depth, group_size, pooled_size, width=None):
    """Returns features, boxes of all kinds, their images, the same boxes for the loops, and sizes."""
    rng = np.random.default_rng(seed)
    images, height, width = rng.integers(1, 4), rng.integers(1, 10), width or rng.integers(1, 10)
    stride, count = int(rng.choice([1, 4, 7, 16])), int(rng.integers(0, 9))
    features = rng.normal(size=(images, height, width, group_size**2 * depth)).astype(np.float32)
    if seed % 2:
        # Multiples of a half, so that inside is often equal to outside.
        features = np.round(features * 2) / 2
    extent = stride * np.array([height, width, height, width])
    # Inside the map, over its border, beyond it, inverted, tiny.
    boxes = rng.uniform(-0.5, 1.5, (count, 4)) * extent
    tiny = rng.random(count) < 0.3
    boxes[tiny, 2:] = boxes[tiny, :2] + rng.uniform(-1, 4, (tiny.sum(), 2))
    boxes = np.where(rng.random((count, 4)) < 0.5, np.round(boxes * 2) / 2, boxes).astype(np.float32)
    # Boxes that are no numbers have no bins, as boxes beyond the map.
    readable = boxes.copy()
    broken = rng.random(count) < 0.2
    readable[broken] = -1e6
    boxes[broken, rng.integers(4)] = rng.choice([np.nan, np.inf, -np.inf])
    indices = rng.integers(images, size=count).astype(np.int32)
    sizes = {"group_size": group_size, "pooled_size": pooled_size, "stride": stride}
    return features, boxes, indices, readable, sizes, rng


GROUPS = [(1, 1), (1, 4), (2, 2), (2, 6), (3, 9), (7, 7)]
# Odd depths, and more channels than a block has threads.
DEPTHS = [1, 2, 3, 5, 17, 130, 700]


@pytest.mark.parametrize("seed", range(24))
def test_pooling_equals_its_definition(kernels, seed):
    depth, groups = DEPTHS[seed % len(DEPTHS)], GROUPS[seed % len(GROUPS)]
    features, boxes, indices, readable, sizes, rng = draw_case(seed, depth, *groups)
    expected = slow.ps_roi_pool(features, readable, indices, **sizes)
    np.testing.assert_allclose(kernels.pool(features, boxes, indices, **sizes), expected, atol=1e-5)
    output_gradient = rng.normal(size=expected.shape).astype(np.float32)
    expected = slow.ps_roi_pool_gradient(features, readable, indices, output_gradient, **sizes)
    gradient = kernels.pool_gradient(features, boxes, indices, output_gradient, **sizes)
    np.testing.assert_allclose(gradient, expected, atol=1e-4)


# More classes than the backward and the forward pass have threads, and maps wider than a block of the backward pass.
CLASSES = [2, 3, 6, 21, 33, 140, 600]
WIDTHS = [None, 16, 17, 40]


@pytest.mark.parametrize("with_labels", [True, False])
@pytest.mark.parametrize("seed", range(24))
def test_assembly_equals_its_definition(kernels, seed, with_labels):
    classes, groups = CLASSES[seed % len(CLASSES)], GROUPS[seed % len(GROUPS)]
    width = WIDTHS[seed % len(WIDTHS)]
    score_maps, boxes, indices, readable, sizes, rng = draw_case(100 + seed, 2 * classes, *groups, width)
    labels = rng.integers(classes, size=len(boxes)) if with_labels else None
    class_logits, mask_logits, mask_labels = kernels.assemble(score_maps, boxes, indices, labels, **sizes)
    gradients = [rng.normal(size=array.shape).astype(np.float32) for array in (class_logits, mask_logits)]
    # RoIs that a loss leaves out, or both do.
    for gradient, step in zip(gradients, (2, 3), strict=True):
        gradient[::step] = 0
    gradient = kernels.assemble_gradient(score_maps, boxes, indices, mask_labels, gradients, **sizes)
    if not len(boxes):
        np.testing.assert_array_equal(gradient, np.zeros_like(score_maps))
        return
    expected_logits, expected_masks = slow.ps_assemble(score_maps, readable, indices, labels, **sizes)
    np.testing.assert_allclose(class_logits, expected_logits, atol=1e-5)
    np.testing.assert_allclose(mask_logits, expected_masks, atol=1e-5)
    expected_labels = labels if with_labels else 1 + expected_logits[:, 1:].argmax(axis=1)
    np.testing.assert_array_equal(mask_labels, expected_labels)
    expected = slow.ps_assemble_gradient(score_maps, readable, indices, expected_labels, *gradients, **sizes)
    np.testing.assert_allclose(gradient, expected, atol=1e-4)


# Types


@pytest.mark.parametrize("dtype", TYPES[1:])
def test_small_types_are_summed_in_float32(kernels, dtype):
    # Small scores become subnormal halves.
    for scale in (1, 1e-6):
        case = draw_case(7, 2 * 5, 2, 6)
        score_maps, boxes, indices, _, sizes, rng = case
        score_maps = (scale * score_maps).astype(dtype)
        assert len(boxes) and score_maps.any()
        exact = score_maps.astype(np.float32)
        outputs = kernels.assemble(score_maps, boxes, indices, None, **sizes)
        exact_outputs = kernels.assemble(exact, boxes, indices, None, **sizes)
        gradients = [rng.normal(size=array.shape).astype(dtype) for array in outputs[:2]]
        pooled = kernels.pool(exact, boxes, indices, **sizes)
        pairs = [
            *zip(outputs, exact_outputs, strict=True),
            (kernels.pool(score_maps, boxes, indices, **sizes), pooled),
            (
                kernels.assemble_gradient(score_maps, boxes, indices, outputs[2], gradients, **sizes),
                kernels.assemble_gradient(exact, boxes, indices, outputs[2], gradients, **sizes),
            ),
            (
                kernels.pool_gradient(score_maps, boxes, indices, pooled.astype(dtype), **sizes),
                kernels.pool_gradient(exact, boxes, indices, pooled.astype(dtype), **sizes),
            ),
        ]
        for output, exact_output in pairs:
            np.testing.assert_array_equal(output, exact_output.astype(output.dtype))


# What cannot be checked before a launch, and what there is none of


def test_indices_out_of_range_give_zeros_and_pass_no_gradient(kernels):
    sizes = {"group_size": 1, "pooled_size": 2, "stride": 1}
    score_maps, boxes = np.ones([2, 2, 2, 6], np.float32), [[0, 0, 2, 2]] * 8
    indices, labels = [0, -1, 2, 2**31 - 1, -(2**31), 1, 1, 0], [1, 1, 1, 1, 1, 3, -1, 2]
    good = [0, 7]
    bad = [1, 2, 3, 4, 5, 6]
    class_logits, mask_logits, mask_labels = kernels.assemble(score_maps, boxes, indices, labels, **sizes)
    np.testing.assert_array_equal(mask_labels, labels)
    assert (class_logits[good] == 1).all() and (mask_logits[good] == 1).all()
    assert not class_logits[bad].any() and not mask_logits[bad].any()
    gradients = np.ones_like(class_logits), np.ones_like(mask_logits)
    gradient = kernels.assemble_gradient(score_maps, boxes, indices, labels, gradients, **sizes)
    assert gradient[0].any() and not gradient[1].any()

    class_logits, mask_logits, mask_labels = kernels.assemble(score_maps, boxes, indices, None, **sizes)
    assert not class_logits[bad[:4]].any() and not mask_logits[bad[:4]].any() and class_logits[bad[4:]].all()
    np.testing.assert_array_equal(mask_labels, [1] * 8)
    output = kernels.pool(score_maps, boxes, indices, **sizes)
    assert not output[bad[:4]].any() and output[bad[4:]].all()
    gradient = kernels.pool_gradient(score_maps, boxes, indices, np.ones_like(output), **sizes)
    np.testing.assert_allclose(gradient, np.full_like(gradient, 2))


def test_the_first_of_the_best_classes_is_chosen_and_no_class_that_is_no_number(kernels):
    sizes = {"group_size": 1, "pooled_size": 1, "stride": 1}
    nan, inf = np.nan, np.inf
    logits = [
        [9, 1, 2, 2, 2],
        [9, 1, nan, 0, 3],
        [0, nan, 5, 6, 7],
        [nan, 1, 2, 3, 0],
        [0, -inf, -inf, -inf, -inf],
        [0, -inf, nan, -5, -6],
        [0, 1, inf, inf, 2],
        [0, -1, -1, -1, -1],
    ]
    score_maps = np.repeat(np.float32(logits)[:, None, None], 2, axis=-1)
    boxes, indices = [[0, 0, 1, 1]] * len(logits), range(len(logits))
    _, _, mask_labels = kernels.assemble(score_maps, boxes, indices, None, **sizes)
    np.testing.assert_array_equal(mask_labels, [2, 4, 1, 3, 1, 3, 2, 1])


@pytest.mark.parametrize("shape", [(0, 3, 4, 8), (2, 0, 4, 8), (2, 3, 0, 8), (2, 3, 4, 0)])
def test_maps_without_elements(kernels, shape):
    features, boxes = np.zeros(shape, np.float32), [[0, 0, 32, 32]] * 3
    sizes = {"group_size": 2, "pooled_size": 4, "stride": 16}
    output = kernels.pool(features, boxes, [0, 1, 0], **sizes)
    assert not output.any()
    assert kernels.pool_gradient(features, boxes, [0, 1, 0], output, **sizes).shape == shape
    class_logits, mask_logits, mask_labels = kernels.assemble(features, boxes, [0, 1, 0], [0, 0, 0], **sizes)
    assert not class_logits.any() and not mask_logits.any() and not mask_labels.any()
    gradients = class_logits, mask_logits
    assert kernels.assemble_gradient(features, boxes, [0, 1, 0], [0, 0, 0], gradients, **sizes).shape == shape


def test_results_do_not_depend_on_the_order_of_threads(kernels):
    score_maps, boxes, indices, _, sizes, rng = draw_case(4, 2 * 40, 2, 6, 20)
    assert len(boxes) > 3

    def run(reversed_):
        kernels.reverse_threads(reversed_)
        rng = np.random.default_rng(0)
        outputs = kernels.assemble(score_maps, boxes, indices, None, **sizes)
        gradients = [rng.normal(size=array.shape).astype(np.float32) for array in outputs[:2]]
        pooled = kernels.pool(score_maps, boxes, indices, **sizes)
        gradient = kernels.assemble_gradient(score_maps, boxes, indices, outputs[2], gradients, **sizes)
        return *outputs, gradient, pooled, kernels.pool_gradient(score_maps, boxes, indices, pooled, **sizes)

    try:
        for one, other in zip(run(False), run(True), strict=True):
            assert one.tobytes() == other.tobytes()
    finally:
        kernels.reverse_threads(False)


# make gpu-check


@pytest.fixture(scope="module")
def gpu_check(tmp_path_factory):
    if not shutil.which("g++"):
        pytest.skip("there is no g++")
    folder = tmp_path_factory.mktemp("gpu_check")
    program = folder / "gpu_check"
    (folder / "empty.cc").write_text("int main() {}\n")
    command = ["g++", *SANITIZERS, folder / "empty.cc", "-o", folder / "empty"]
    have_sanitizers = not subprocess.run(command, capture_output=True).returncode
    compile_with_shim("gpu_check.cu", program, *(["-O1", *SANITIZERS] if have_sanitizers else []))
    return lambda cases: subprocess.run([program, cases, "--small"], capture_output=True, text=True)


def test_gpu_check_finds_all_good_on_the_host(gpu_check):
    done = gpu_check(write_gpu_check_cases.PATH)
    assert done.returncode == 0 and done.stdout.endswith("all good\n"), done.stdout + done.stderr
    assert "WRONG" not in done.stdout


@pytest.mark.parametrize("old, new", [("-1.953125", "-1.952125"), ("end\n", "")])
def test_gpu_check_finds_what_is_wrong(gpu_check, tmp_path, old, new):
    text = write_gpu_check_cases.PATH.read_text()
    assert old in text
    cases = tmp_path / "cases.txt"
    cases.write_text(text.replace(old, new, 1))
    done = gpu_check(cases)
    assert done.returncode == 1 and done.stdout.endswith("SOMETHING IS WRONG\n"), done.stdout
    assert done.stdout.count("WRONG") == 2, done.stdout


def test_gpu_check_cases_are_up_to_date():
    assert write_gpu_check_cases.PATH.read_text() == write_gpu_check_cases.cases_as_text()
