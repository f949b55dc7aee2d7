"""Names from files, as they can be shown on a terminal."""


def printable(text):
    """Returns a text in which what isn't printable, such as control characters, is escaped as Python writes it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_encodable(text):
    """Returns whether a text can be written as UTF-8: JSON may have halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
