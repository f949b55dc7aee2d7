"""What is wrong with a data set, and what is done about it: stop, or go on and count."""

from collections import Counter

from fcis_tf.errors import UserError

# Enough to see what a kind of problem looks like.
_EXAMPLES = 3


class Unusable(Exception):
    """An image or an annotation that the data set has to do without.

    Attributes:
        kind, detail: what is wrong with it, as `Problems.report` takes them.
    """

    def __init__(self, kind, detail):
        """Takes both."""
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class Problems:
    """Problems that a data set can do without: each costs it an annotation or an image, or can be made good.

    Attributes:
        origin: the key of the configuration and the file that the data set comes from, for messages.
        counts: Counter of the problems by kind, such as "polygons of two points".
        examples: for each kind the details of the first few, which name the image or the file.
        left_out: dict from "images" and "annotations" to a Counter of those that are skipped, by kind.
    """

    def __init__(self, origin, strict):
        """Takes the origin, and whether the first problem is an error."""
        self.origin = origin
        self.counts = Counter()
        self.examples = {}
        self.left_out = {"images": Counter(), "annotations": Counter()}
        self._strict = strict
        self._remedies = {}

    def report(self, kind, detail, remedy="skipped", of="annotations"):
        """Counts a problem.

        Args:
            kind: what is wrong, a noun in the plural, without names.
            detail: what is wrong with which annotation, image or file.
            remedy: what is done about it, the same for all of the kind: "skipped", "repaired" or another such word.
            of: "images" or "annotations", what it is a problem of.

        Raises:
            UserError: the data set is to be read strictly.
        """
        if self._strict:
            raise UserError(f"{self.origin}: {detail} ({remedy} under data.strict: false)")
        self.counts[kind] += 1
        self._remedies[kind] = remedy
        if remedy == "skipped":
            self.left_out[of][kind] += 1
        examples = self.examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(detail)

    def summary(self):
        """Returns one line about all problems, or None without any."""
        if not self.counts:
            return None
        by_remedy = {}
        for kind, count in sorted(self.counts.items()):
            by_remedy.setdefault(self._remedies[kind], []).append(f"{kind} ({count})")
        parts = [f"{remedy} {', '.join(kinds)}" for remedy, kinds in sorted(by_remedy.items())]
        return f"{self.origin}: {'; '.join(parts)}"

    def check_something_is_left(self, images):
        """Raises UserError with the summary and an example if all images of the data set have been skipped."""
        if not images:
            example = next(iter(self.examples.values()))[0]
            raise UserError(f"{self.summary()}; no image is left; for example {example}")
