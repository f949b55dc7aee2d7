"""Writing TFRecord files in several processes."""

import itertools
import multiprocessing
import signal
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from tqdm import tqdm

from fcis_tf.data.tfrecord.record_writer import write_shard
from fcis_tf.end_with_parent import end_with_parent
from fcis_tf.errors import UserError

# TensorFlow's threads don't survive a fork.
_context = multiprocessing.get_context("spawn")

# Seconds between updates of the progress bar.
_UPDATE_EVERY = 0.2


class _Stopped(Exception):
    """Another process failed, or the user interrupted."""


def write_shards(shards, processes):
    """Writes files, each wholly by one process, and shows the progress.

    An error or Ctrl-C ends all processes at their next image; what they have not completed is removed.

    Args:
        shards: list of Shard.
        processes: how many to write at the same time; 1 for no other process than this.

    Returns:
        List of strings: which images are left out because they cannot be read, and why.

    Raises:
        UserError: a file cannot be written, or an image cannot be read and the data set is to be read strictly.
    """
    processes = min(processes, len(shards))
    images = sum(len(shard.images) for shard in shards)
    with tqdm(total=images, desc="Writing records", unit="image", disable=not images) as progress:
        if processes > 1:
            left_out = _write_in_processes(shards, processes, progress)
        else:
            left_out = [write_shard(shard, progress.update) for shard in shards]
    return list(itertools.chain(*left_out))


def _write_in_processes(shards, processes, progress):
    written, stop = _context.Value("q", 0), _context.Event()
    executor = ProcessPoolExecutor(processes, _context, _start_process, (written, stop))
    # Ctrl-C reaches all processes of a terminal; those started now inherit that they ignore it.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    running = futures = [executor.submit(_write_in_process, shard) for shard in shards]
    # An exception in the middle of anything could leave a lock behind that the processes wait for.
    interrupts = []
    signal.signal(signal.SIGINT, lambda *_: interrupts.append(True))
    try:
        while running and not interrupts:
            done, running = wait(running, _UPDATE_EVERY, FIRST_EXCEPTION)
            progress.update(written.value - progress.n)
            for future in done:
                future.result()
    except BrokenProcessPool:
        raise UserError("a process was killed, maybe for want of memory; expected fewer --processes") from None
    finally:
        stop.set()
        executor.shutdown(cancel_futures=True)
        signal.signal(signal.SIGINT, handler)
    if interrupts:
        raise KeyboardInterrupt
    return [future.result() for future in futures]


def _start_process(written, stop):
    global _written, _stop
    _written, _stop = written, stop
    # Else it would wait for work for ever.
    end_with_parent()


def _write_in_process(shard):
    return write_shard(shard, _advance)


def _advance():
    with _written.get_lock():
        _written.value += 1
    if _stop.is_set():
        raise _Stopped
