"""Text as far as the font of drawings goes, which has Latin letters only."""

import functools

from PIL import ImageFont

_FONT = ImageFont.load_default(16)
_ELLIPSIS = "..."
_LONGEST_LABEL = 20


def class_label(name, number, room=0):
    """Returns what to write on pictures for a class.

    Args:
        name: of the class.
        number: of the class.
        room: how many characters will be added.

    Returns:
        The name, cut if it is long; "class NUMBER" where the font lacks characters of the name.
    """
    name = " ".join(name.split())
    return shorten(name, _LONGEST_LABEL - room) if all(map(_has_glyph, name)) else f"class {number}"


def drawable(text):
    """Returns a text with a question mark for each character that the font lacks."""
    return "".join(character if _has_glyph(character) else "?" for character in text)


def shorten(text, length, measure=len):
    """Cuts a text that is too long, and ends it with an ellipsis.

    Args:
        text: a string.
        length: the greatest length, ellipsis and all.
        measure: a function that returns the length of a string, by default in characters.

    Returns:
        The text, or its beginning with an ellipsis.
    """
    if measure(text) <= length:
        return text
    while text and measure(text + _ELLIPSIS) > length:
        text = text[:-1]
    return text.rstrip() + _ELLIPSIS


@functools.cache
def _has_glyph(character):
    # What a font lacks looks like what no font has.
    return character.isspace() or _shape(character) != _shape("\uffff")


def _shape(character):
    mask = _FONT.getmask(character)
    return mask.size, bytes(mask)
