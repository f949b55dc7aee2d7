"""Evaluation during training, as Orbit calls it."""

import orbit

from fcis_tf.evaluation import evaluate


class Evaluator(orbit.AbstractEvaluator):
    """Evaluates the network as it is on the whole evaluation set.

    Args:
        predictor: a Predictor.
        source: the evaluation set, from `load_dataset`.
        config: a Config.

    Attributes:
        metrics: CocoMetrics of the last evaluation, None before the first.
    """

    def __init__(self, predictor, source, config):
        self.metrics = None
        self._predictor = predictor
        self._source = source
        self._config = config

    def evaluate(self, num_steps):
        """Returns the metrics by TensorBoard's tags; `num_steps` has no meaning here."""
        self.metrics = evaluate(self._predictor, self._source, self._config)
        tags = self.metrics.as_json().items()
        values = {f"{kind}/{name}": value for kind, values in tags for name, value in values.items()}
        # The classes' own values of VOC's metric are for metrics.json only.
        return {tag: value for tag, value in values.items() if not isinstance(value, dict)}
