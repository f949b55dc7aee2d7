"""What the machine's owner, or the user, can ask of a run by a signal: to save its work and stop.

SIGTERM is how Kubernetes, Slurm and cloud providers announce that they take a machine away.

This module needs nothing but Python, so that a program can be stopped while it still imports TensorFlow.
"""

import contextlib
import os
import signal
import sys

# Of a run that SIGTERM stopped: the one that Kubeflow leaves to users for "try again" (restartPolicy: ExitCode).
EXIT_STATUS = 138


class Preempted(SystemExit):
    """SIGTERM stopped the run, which the same command continues. Where nothing catches it, it is the exit status."""

    def __init__(self):
        super().__init__(EXIT_STATUS)


def exit_on_signals():
    """Has SIGTERM exit with EXIT_STATUS, and Ctrl-C with 130, from now on: for a program with nothing to save yet."""
    signal.signal(signal.SIGTERM, _exit)
    # Programs in the background of a script ignore Ctrl-C.
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _exit)


def _exit(number, frame):
    name = "interrupted" if number == signal.SIGINT else signal.Signals(number).name
    os.write(2, f"{os.path.basename(sys.argv[0])}: {name}, before there was anything to save\n".encode())
    raise SystemExit(130) if number == signal.SIGINT else Preempted


class Preemption:
    """Notes SIGTERM and Ctrl-C (SIGINT) while it is open, as a context manager, and says when to stop.

    Either signal stops what runs at once, but within `deferred` when that has come to its end. More SIGTERMs change
    nothing; a second Ctrl-C quits at once everywhere. In a thread other than the main one, where Python takes no
    signals, nothing happens.

    TensorFlow installs a handler of its own with a MultiWorkerMirroredStrategy: open this one after that.
    """

    def __init__(self):
        self._signal = None
        self._is_deferred = False
        self._previous = {}

    def __enter__(self):
        with contextlib.suppress(ValueError):
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def requested(self):
        """Returns whether a signal asked to stop."""
        return self._signal is not None

    @contextlib.contextmanager
    def deferred(self):
        """While it is open signals are only noted; at the end those that came raise Preempted or KeyboardInterrupt."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        if self.requested():
            raise self.error()

    def error(self):
        """Returns what stops the program: KeyboardInterrupt after Ctrl-C, else Preempted."""
        return KeyboardInterrupt() if self._signal == signal.SIGINT else Preempted()

    def _handle(self, number, frame):
        is_first = self._signal is None
        if number == signal.SIGINT and not is_first:
            raise KeyboardInterrupt
        if not is_first:
            return
        self._signal = number
        if not self._is_deferred:
            # Ctrl-C is reported by the program.
            if number == signal.SIGTERM:
                os.write(sys.__stderr__.fileno(), b"\nSIGTERM: stopping; every step that was made is saved\n")
            raise self.error()
        again = "; Ctrl-C again to quit at once" if number == signal.SIGINT else ""
        # Python's own streams may be in the middle of a line.
        os.write(sys.__stderr__.fileno(), f"\n{signal.Signals(number).name}: saving after this step{again}\n".encode())
