"""Median times of functions, under one progress bar."""

import statistics
import time

from tqdm import tqdm


class Timer:
    """Times functions; a context manager, which closes the progress bar."""

    def __init__(self, runs):
        """Takes how often each function runs."""
        self._runs = runs
        self._bar = tqdm(desc="time", unit=" runs")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._bar.close()

    def median(self, function, *inputs):
        """Returns the median seconds of a function's runs; two more, which trace and compile it, go before."""
        times = []
        for run in range(self._runs + 2):
            start = time.perf_counter()
            function(*inputs)
            if run >= 2:
                times.append(time.perf_counter() - start)
            self._bar.update()
        return statistics.median(times)
