"""What the programs have in common."""

import argparse

import pytest
import tensorflow as tf

from fcis_tf.command_line import add_override_argument, run_program
from fcis_tf.data import decode_image
from fcis_tf.errors import UserError


def exit_status(main):
    with pytest.raises(SystemExit) as exit_:
        run_program(main)
    return exit_.value.code


def test_passes_the_exit_status_on():
    assert exit_status(lambda: None) is None
    assert exit_status(lambda: 1) == 1


def test_a_users_mistake_is_one_line(capsys):
    def main():
        raise UserError("a.yaml: cannot read")

    assert exit_status(main) == 2
    output = capsys.readouterr()
    assert output.err.endswith(": a.yaml: cannot read\n") and output.err.count("\n") == 1 and not output.out


def test_an_unreadable_image_of_a_data_set_is_one_line(capsys, tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no image")

    def main():
        list(tf.data.Dataset.from_tensors(str(path)).map(decode_image))

    assert exit_status(main) == 2
    error = capsys.readouterr().err
    assert str(path) in error and error.count("\n") == 1


def test_interruption_has_the_status_that_shells_expect():
    def main():
        raise KeyboardInterrupt

    assert exit_status(main) == 130


def test_other_errors_keep_their_traceback():
    def main():
        tf.ones([2]) + tf.ones([3])

    with pytest.raises(tf.errors.InvalidArgumentError):
        run_program(main)


def test_every_override_is_one_value():
    parser = argparse.ArgumentParser()
    parser.add_argument("images", nargs="*")
    add_override_argument(parser)
    arguments = parser.parse_args(["--override", "a=1", "--override", "b.c=2", "image.png"])
    assert arguments.override == ["a=1", "b.c=2"] and arguments.images == ["image.png"]
    assert parser.parse_args([]).override == []
