"""How long a predictor takes, on the way."""

import statistics
import time


class TimedPredictor:
    """A predictor that notes how long each image takes, from the array to its masks.

    Attributes:
        seconds: a list, of every image so far.
    """

    def __init__(self, predictor):
        """Takes a Predictor, or anything with its method `predict`."""
        self.seconds = []
        self._predictor = predictor

    def predict(self, image):
        """Returns the predictor's Instances of an image."""
        start = time.perf_counter()
        instances = self._predictor.predict(image)
        self.seconds.append(time.perf_counter() - start)
        return instances

    def median(self):
        """Returns the median in seconds of all images but the first, with which the graph is compiled."""
        return statistics.median(self.seconds[1:] or self.seconds)
