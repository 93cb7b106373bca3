"""Hears everything that is logged, by anybody, on every level."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager


class Recorder(logging.Handler):
    """Keeps every record of every logger, tracebacks rendered with what they hold."""

    def __init__(self) -> None:
        super().__init__(0)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [record.getMessage(), repr(record.args), repr(vars(record))]
        if record.exc_info:
            self.lines += traceback.TracebackException(*record.exc_info, capture_locals=True).format()


@contextmanager
def recording(*loggers: str) -> Iterator[Recorder]:
    """Record at the lowest level, of the root and of loggers that may have a level of their own."""
    recorder = Recorder()
    heard = [logging.getLogger(), *map(logging.getLogger, loggers)]
    levels = [logger.level for logger in heard]
    heard[0].addHandler(recorder)
    for logger in heard:
        logger.setLevel(0)
    try:
        yield recorder
    finally:
        heard[0].removeHandler(recorder)
        for logger, level in zip(heard, levels, strict=True):
            logger.setLevel(level)
