"""Signals that ask a run to stop."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from fcis_tf.preemption import EXIT_STATUS, Preempted, Preemption

BOTH = pytest.mark.parametrize("number, error", [(signal.SIGTERM, Preempted), (signal.SIGINT, KeyboardInterrupt)])


def send(number):
    os.kill(os.getpid(), number)


@BOTH
def test_a_signal_stops_at_once(number, error):
    with Preemption() as preemption, pytest.raises(error):
        assert not preemption.requested()
        send(number)
    assert preemption.requested()


@BOTH
def test_a_signal_waits_for_the_end_of_what_it_must_not_interrupt(number, error, capfd):
    done = []
    with Preemption() as preemption, pytest.raises(error):
        with preemption.deferred():
            send(number)
            assert preemption.requested()
            send(signal.SIGTERM)
            done.append(True)
    assert done and number.name in capfd.readouterr().err


def test_a_second_interrupt_quits_at_once():
    with Preemption() as preemption, pytest.raises(KeyboardInterrupt):
        with preemption.deferred():
            send(signal.SIGINT)
            send(signal.SIGINT)
            raise AssertionError


def test_a_second_sigterm_changes_nothing():
    with Preemption() as preemption:
        with pytest.raises(Preempted):
            send(signal.SIGTERM)
        send(signal.SIGTERM)
        assert preemption.requested()


def test_handlers_are_as_they_were_before():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with Preemption():
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] != before
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_other_threads_take_no_signals():
    errors = []

    def run():
        try:
            with Preemption() as preemption, preemption.deferred():
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not errors


@pytest.mark.parametrize("name, status, word", [("SIGTERM", EXIT_STATUS, "SIGTERM"), ("SIGINT", 130, "interrupted")])
def test_a_signal_before_there_is_anything_to_save(name, status, word):
    code = "import os, signal; from fcis_tf.preemption import exit_on_signals; "
    # What runs in the background of a script would ignore Ctrl-C.
    code += "signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += f"exit_on_signals(); os.kill(os.getpid(), signal.{name})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == status
    assert result.stderr == f"-c: {word}, before there was anything to save\n"
    # Without TensorFlow, whose import takes seconds.
    code = "import sys, fcis_tf.preemption; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
