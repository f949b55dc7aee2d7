"""What a check finds."""

from typing import Literal, NamedTuple

from fcis_tf.printable import printable

# A fault in more than this part of a data set spoils the training.
_MOST = 0.5


class Finding(NamedTuple):
    """A fault of a data set.

    Attributes:
        level: error for what makes training or evaluation fail, warning for what may be meant.
        message: what is wrong, and with how many; one line.
        advice: what to do about it; one line.
        example: where it can be seen: a file and an annotation, or None.
    """

    level: Literal["error", "warning"]
    message: str
    advice: str
    example: str | None = None

    def report(self, origin):
        """Returns two lines of text that a terminal can show; the origin names the data set."""
        example = "" if self.example is None else f", for example {self.example}"
        return f"{printable(f'{self.level}: {origin}: {self.message}{example}')}\n    {printable(self.advice)}."


def level_of(count, total):
    """Returns "error" for a fault of more than half of a data set, else "warning"."""
    return "error" if count > _MOST * total else "warning"


def listed(values, most=8):
    """Returns values as text, the first few of many: 1, 2, 3 and 5 more."""
    values = list(values)
    rest = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(map(str, values[:most])) + rest
