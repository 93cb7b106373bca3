"""The contract of docs/reference/protocol.md as a test suite, for every framework: ours, and yours.

Example::

    class TestMyFramework(HttpConformance):
        @classmethod
        def make_service(cls, **parts):
            return Keyturn(**parts)

        @classmethod
        def serve(cls, service):
            return served_by_uvicorn(application(service))

It speaks over raw sockets to a served application whose clock, entropy and keys are the same in every run, and
compares each answer byte for byte with a recorded one. Needs pytest; `served_by_uvicorn` needs uvicorn.

The application has these routes besides ours, and answers ``text/plain; charset=utf-8``:

* GET and POST ``/me``: for `required`, the caller's subject; GET ``/maybe``: for `optional`, the same or ``nobody``;
* GET ``/write``, ``/admin``: need the scopes ``write`` and ``admin``, GET ``/fresh`` a sign-in within five minutes; each
  the subject;
* GET and POST ``/echo``: `seen_by_the_application`;
* GET and POST ``/welcome``: signs ``Principal(subject="u-alice")`` in, into a redirect (303) to ``/home``; POST ``/bye``:
  signs out into one to ``/``; POST ``/raise``: the answer of a step-up with ``amr=("otp",)``.

The transcript is recorded anew with ``python -m keyturn.testing.http_conformance``, from Starlette.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from importlib.resources import files
from types import FunctionType
from typing import Any, ClassVar, Final

import pytest

# Before they are imported: a failing assert in them then tells its values, as in a test's own file.
pytest.register_assert_rewrite(
    "keyturn.testing._http_promises", "keyturn.testing._http_script", "keyturn.testing._http_oauth"
)

from ..service import Service  # noqa: E402
from . import _http_guards, _http_oauth, _http_promises, _http_script  # noqa: E402
from ._http_stage import SETTINGS, Faltering, Stage, parts, seen_by_the_application  # noqa: E402
from ._http_wire import Address, served_by_uvicorn  # noqa: E402
from .clock import ManualClock  # noqa: E402
from .entropy import CountingEntropy  # noqa: E402

__all__ = ["HttpConformance", "seen_by_the_application", "served_by_uvicorn"]

_TRANSCRIPT: Final = files("keyturn.testing") / "http_transcript.json"
#: Scenarios that need other settings than most.
_PLAYED_WITH: Final[dict[Callable[[Stage], None], str]] = {
    _http_guards.guards_with_the_access_cookie: "access cookie",
    _http_script.embedded: "embedded",
    _http_script.development: "development",
    _http_oauth.documentation: "docs",
    _http_script.session_limit: "limited",
}


def _scenarios() -> dict[str, Callable[[Stage], None]]:
    return {
        name: scenario
        for module in (_http_script, _http_oauth, _http_guards)
        for name, scenario in vars(module).items()
        if isinstance(scenario, FunctionType) and scenario.__module__ == module.__name__ and not name.startswith("_")
    }


_SCENARIOS: Final = _scenarios()


def _play(name: str, service: Service, address: Address) -> list[dict[str, Any]]:
    scenario = _SCENARIOS[name]
    clock = ManualClock()
    settings = SETTINGS[_PLAYED_WITH.get(scenario, "plain")]
    store: Any = Faltering()
    with service.override(clock=clock, entropy=CountingEntropy(name), store=store, settings=settings):
        stage = Stage(service, address, clock, store)
        scenario(stage)
    return stage.told


class HttpConformance:
    """What every framework answers. Subclass it, give `make_service` and `serve`, and let pytest collect the subclass."""

    _service: ClassVar[Service]
    _address: ClassVar[Address]
    _running: ClassVar[ExitStack]

    @classmethod
    @abstractmethod
    def make_service(cls, **parts: Any) -> Service:
        """Build the framework's ``Keyturn`` from these arguments."""

    @classmethod
    @abstractmethod
    def serve(cls, service: Service) -> AbstractContextManager[Address]:
        """Serve an application with that service installed, and the routes listed above; give host and port."""

    @classmethod
    def setup_class(cls) -> None:
        """Start the server, once for all tests."""
        cls._service = cls.make_service(**parts())
        cls._running = ExitStack()
        cls._address = cls._running.enter_context(cls.serve(cls._service))

    @classmethod
    def teardown_class(cls) -> None:
        """Stop it."""
        cls._running.close()

    @pytest.mark.parametrize("scenario", sorted(_SCENARIOS))
    def test_every_answer_is_the_recorded_one(self, scenario: str) -> None:
        """Byte for byte, but for what belongs to the server and the connection."""
        told = _play(scenario, self._service, self._address)
        _http_promises.keep(told)
        recorded = json.loads(_TRANSCRIPT.read_text("utf-8"))[scenario]
        for said, expected in zip(told, recorded, strict=False):
            assert said == expected
        assert len(told) == len(recorded)


def record() -> None:
    """Write the transcript anew, from the Starlette edge; what changed is to be read before it is committed."""
    from pathlib import Path

    from ..starlette import Keyturn
    from ._http_reference import application

    service = Keyturn(**parts())
    with served_by_uvicorn(application(service)) as address:
        told = {name: _play(name, service, address) for name in sorted(_SCENARIOS)}
    for exchanges in told.values():
        _http_promises.keep(exchanges)
    Path(str(_TRANSCRIPT)).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    record()
