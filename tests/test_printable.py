"""Names as a terminal can show them."""

from hypothesis import given
from hypothesis import strategies as st

from fcis_tf.printable import is_encodable, printable


@given(st.text(st.characters()))
def test_everything_becomes_printable_and_encodable(text):
    assert printable(text).isprintable() and is_encodable(printable(text))


def test_letters_of_any_alphabet_stay():
    assert printable("Männchen 猫") == "Männchen 猫"
    assert printable("a\nb\x1b[31m\u202e\ud800") == r"a\nb\x1b[31m\u202e\ud800"


def test_halves_of_surrogate_pairs_cannot_be_encoded():
    assert not is_encodable("\ud800") and is_encodable("猫")
