"""What tests of several stores ask for."""

import os
import signal
import warnings

import pytest


@pytest.fixture
def in_child():
    """Fork; let the child do something; give what waits for its good end."""

    def fork(action):
        process = os.fork()
        if process == 0:
            signal.alarm(60)
            try:
                action()
            except BaseException as error:  # noqa: BLE001 - pytest belongs to the parent
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
                os._exit(1)
            os._exit(0)
        return lambda: os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads: just what is tried here
        yield fork
