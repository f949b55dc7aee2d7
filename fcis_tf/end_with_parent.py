"""Processes that end with the one that started them."""

import os
import threading
import time

# Seconds between looks at whether it is still there.
_LOOK_EVERY = 0.2


def end_with_parent():
    """Ends this process, from now on, when its parent is gone, which a signal may have killed."""
    threading.Thread(target=_watch, args=[os.getppid()], daemon=True).start()


def _watch(parent):
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)
