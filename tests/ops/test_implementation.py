"""The choice between native and portable operators."""

import threading

import pytest
import tensorflow as tf

from fcis_tf.ops import native, ps_assemble, ps_roi_pool, render_box_masks, render_masks, use_implementation

SIZES = {"group_size": 1, "pooled_size": 1, "stride": 1}


def types_of_operations(**implementation):
    """Returns the types of all operations in a graph of all operators."""

    @tf.function(autograph=False)
    def graph(maps, boxes, indices):
        regions = tf.ones([1, 3, 3]), boxes, tf.ones([1, 1]), (4, 5)
        return (
            ps_roi_pool(maps, boxes, indices, **SIZES, **implementation),
            ps_assemble(maps, boxes, indices, **SIZES, **implementation),
            render_masks(*regions, binary_threshold=0.5, **implementation),
            render_box_masks(*regions, 2, binary_threshold=0.5, **implementation),
        )

    arguments = tf.ones([1, 1, 1, 4]), tf.ones([1, 4]), tf.constant([0])
    definition = graph.get_concrete_function(*arguments).graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return {node.op for node in nodes}


def is_native(types):
    found = {name for name in types if name.startswith("FcisTf>")}
    assert len(found) in (0, 4)
    return len(found) == 4


def test_native_operators_run_where_they_are_built():
    assert is_native(types_of_operations()) == (native.reason_for_absence() is None)


def test_portable_operators_run_where_they_are_asked_for():
    with use_implementation("portable"):
        assert not is_native(types_of_operations())
        assert not is_native(types_of_operations(implementation=None))


def test_a_call_that_names_its_implementation_has_it():
    assert not is_native(types_of_operations(implementation="portable"))
    if native.reason_for_absence() is None:
        with use_implementation("portable"):
            assert is_native(types_of_operations(implementation="native"))


def test_blocks_nest_and_end_with_an_error_too():
    before = is_native(types_of_operations())
    with pytest.raises(KeyError), use_implementation("portable"):
        with use_implementation(None):
            assert is_native(types_of_operations()) == before
        assert not is_native(types_of_operations())
        raise KeyError
    assert is_native(types_of_operations()) == before


def test_other_threads_keep_their_own():
    found = []
    with use_implementation("portable"):
        thread = threading.Thread(target=lambda: found.append(is_native(types_of_operations())))
        thread.start()
        thread.join()
    assert found == [is_native(types_of_operations())]


@pytest.mark.parametrize("name", ["fast", "", 1])
def test_names_of_no_implementation(name):
    with pytest.raises(ValueError, match="implementation: expected 'native', 'portable' or None"):
        with use_implementation(name):
            pass
