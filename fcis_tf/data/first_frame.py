"""GIF files cut off behind their first frame, in the graph.

TensorFlow's decoder reads every frame of an animation, also when it is asked for the first alone, and each may be of
any size: without this a small file could fill the memory.
"""

import tensorflow as tf

_SCREEN_END = 13
_DESCRIPTOR_LENGTH = 10
_EXTENSION, _DESCRIPTOR, _TRAILER = 0x21, 0x2C, b";"


def first_frame(contents):
    """Cuts a GIF file off behind its first frame.

    A file is a chain of blocks, and most of these are chains of sub-blocks, each of which begins with its length. The
    chains are followed in as many steps as the logarithm of the file's length, whatever links an attacker has forged.

    Args:
        contents: string scalar, the bytes of a GIF file, of which nothing but the first four bytes is certain.

    Returns:
        contents: string scalar, the file with its first frame only.
        size: [2] int64, height and width of the frame; zeros where the file ends before the frame does.
    """
    length = tf.strings.length(contents)
    # What is read behind the end is zeros: lengths of 0, which end every chain.
    values = tf.cast(tf.io.decode_raw(contents, tf.uint8), tf.int32)
    values = tf.pad(values, [[0, _SCREEN_END + _DESCRIPTOR_LENGTH + 2]])
    positions = tf.range(tf.size(values))

    def within_file(position):
        return tf.minimum(position, tf.size(values) - 1)

    ends = _ends_of_chains(tf.where(values > 0, within_file(positions + 1 + values), positions))
    behind_extension = within_file(tf.gather(ends, within_file(positions + 2)) + 1)
    blocks = _ends_of_chains(tf.where(values == _EXTENSION, behind_extension, positions))

    descriptor = blocks[within_file(_SCREEN_END + _length_of_colors(values[10]))]
    left_over = values[descriptor : descriptor + _DESCRIPTOR_LENGTH]
    left_over = tf.pad(left_over, [[0, _DESCRIPTOR_LENGTH - tf.size(left_over)]])
    width, height = left_over[5] + 256 * left_over[6], left_over[7] + 256 * left_over[8]
    # One byte between the colours and the pixels says how long the codes are.
    pixels = within_file(descriptor + _DESCRIPTOR_LENGTH + _length_of_colors(left_over[9]) + 1)
    end = ends[pixels]

    complete = (left_over[0] == _DESCRIPTOR) & (end < length)
    size = tf.where(complete, tf.cast([height, width], tf.int64), 0)
    return tf.strings.join([tf.strings.substr(contents, 0, tf.where(complete, end + 1, 0)), _TRAILER]), size


def _ends_of_chains(following):
    """Returns where the chain from each position ends, [L] int32: the position that follows on itself.

    Args:
        following: [L] int32, for each position the next one of its chain, which is none before it.
    """
    return tf.while_loop(
        lambda following, finished: ~finished,
        lambda following, _: _two_steps(following),
        (following, False),
        shape_invariants=(tf.TensorShape([None]), tf.TensorShape([])),
    )[0]


def _two_steps(following):
    further = tf.gather(following, following)
    return further, tf.reduce_all(further == following)


def _length_of_colors(flags):
    """Returns how many bytes the table of colours takes that the flags of a screen or a frame announce."""
    return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)
