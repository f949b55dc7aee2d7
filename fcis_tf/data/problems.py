"""What is wrong with a data set, and what is done about it: stop, or skip and count."""

from collections import Counter

from fcis_tf.errors import UserError

# Enough to see what a kind of problem looks like.
_EXAMPLES = 3


class Problems:
    """Problems that a data set can do without: each costs it an annotation or an image.

    Attributes:
        origin: the key of the configuration and the file that the data set comes from, for messages.
        counts: Counter of the problems by kind, such as "polygons of two points".
        examples: for each kind the details of the first few, which name the image or the file.
    """

    def __init__(self, origin, strict):
        """Takes the origin, and whether the first problem is an error."""
        self.origin = origin
        self.counts = Counter()
        self.examples = {}
        self._strict = strict

    def report(self, kind, detail):
        """Counts a problem.

        Args:
            kind: what is wrong, a noun in the plural, without names.
            detail: what is wrong with which annotation, image or file.

        Raises:
            UserError: the data set is to be read strictly.
        """
        if self._strict:
            raise UserError(f"{self.origin}: {detail} (data.strict: false skips it)")
        self.counts[kind] += 1
        examples = self.examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(detail)

    def summary(self):
        """Returns one line about all problems, or None without any."""
        if not self.counts:
            return None
        kinds = ", ".join(f"{kind} ({count})" for kind, count in sorted(self.counts.items()))
        return f"{self.origin}: skipped {kinds}"
