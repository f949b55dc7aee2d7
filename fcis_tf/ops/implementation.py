"""Which implementation of the operators runs: the native one or the portable one."""

import contextlib
import contextvars

from fcis_tf.ops import native, portable

# What None means; None itself: native where it can be used.
_default = contextvars.ContextVar("implementation", default=None)


@contextlib.contextmanager
def use_implementation(implementation):
    """Sets what `implementation=None` means for all operators that are called, or traced, within the block.

    A graph that was traced before keeps what it has. As every context variable it holds for the thread that sets it,
    and not for threads started within the block, such as the replicas of a `MirroredStrategy`.

    Args:
        implementation: "native", "portable", or None for native where it is built.

    Raises:
        ValueError: there is no such implementation.

    Example:
        >>> with use_implementation("portable"):
        ...     tf.saved_model.save(module, directory)
    """
    token = _default.set(_checked(implementation))
    try:
        yield
    finally:
        _default.reset(token)


def operators(implementation):
    """Returns the module that implements the operators.

    Args:
        implementation: "native", "portable", or None for what `use_implementation` has set.

    Raises:
        ValueError: there is no such implementation, or native operators are asked for but cannot be used.
    """
    implementation = _checked(implementation) or _default.get()
    if implementation == "portable":
        return portable
    if implementation == "native" and native.reason_for_absence():
        raise ValueError(f"implementation: the native operators cannot be used: {native.reason_for_absence()}")
    return native if native.is_available() else portable


def _checked(implementation):
    if implementation not in (None, "native", "portable"):
        raise ValueError(f"implementation: expected 'native', 'portable' or None, found {implementation!r}")
    return implementation
