"""What happened and how long it took, as numbers for Prometheus: one set for all workers behind a port.

Every label is one of a few words of ours: no path, no id, no name and no address is ever in one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime
from typing import Any, Final

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import Route

from .. import events
from .._asgi import noted
from .._build import utc_now
from ..errors import RequestError
from ..http import replies
from ..messages import Reply
from ..session import EndReason
from ..settings import Settings
from ..starlette import response_of
from .operators import is_operator
from .sampling import READ_AT, Gauges, Sampled, Sources
from .sharing import numbers_of_all

PATH: Final = "/metrics"
#: A refresh takes some milliseconds, a password hash some hundred.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AGE: Final = "keyturn_propagation_age_seconds"

_EVENTS: Final[dict[type[events.Event], tuple[str, str]]] = {
    events.SessionStarted: ("sign_ins", "Sign-ins"),
    events.SessionRefreshed: ("refreshes", "Refreshes that turned a key"),
    events.RefreshReissued: ("reissues", "Refreshes that gave a retry or a second tab the same successor"),
    events.RefreshRecovered: ("recoveries", "Refreshes by clients that never got the answer before"),
    events.StoreWentBack: ("catch_ups", "Rows that caught up with a token after the store lost writes"),
    events.ReuseDetected: ("reuse_detected", "Sessions ended because a spent refresh token came back"),
    events.SessionSteppedUp: ("step_ups", "Users who proved again who they are"),
    events.RefreshRequired: ("refreshes_required", "Changes that made access tokens stale"),
}
#: Why a sign-in is refused.
FAILURES: Final = ("invalid_credentials", "rate_limited", "invalid_scope", "session_limit")
#: Every code that an error answer of ours may bear.
CODES: Final = frozenset(
    {
        "account_refused", "binding_mismatch", "body_too_large", "cross_site", "error", "insufficient_scope",
        "invalid_client", "invalid_credentials", "invalid_request", "invalid_scope", "method_not_allowed",
        "misdirected_request", "not_found", "password_refused", "rate_limited", "reauthentication_required",
        "reset_invalid", "session_ended", "session_limit", "store_unavailable", "taken", "token_expired",
        "token_invalid", "token_missing", "token_stale", "unsupported_grant_type", "unsupported_media_type",
    }
)  # fmt: skip
OTHER: Final = "other"


class Metrics:
    """The numbers of one application; inside `sharing.shared_folder` those of all its workers.

    Args:
        clock: gives the time, aware UTC.
    """

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._registry = CollectorRegistry()
        self._sources: Sources | None = None
        self._counted = {kind: self._counter(*words) for kind, words in _EVENTS.items()}
        ended = self._counter("sessions_ended", "Sessions that were ended, by reason", "reason")
        failed = self._counter("sign_in_failures", "Sign-ins that were refused, by reason", "reason")
        refused = self._counter("refusals", "Error answers, by code", "code")
        # All at zero from the start: a rate of what never happened is nought, not nothing.
        self._ended = {reason: ended.labels(reason.value) for reason in EndReason}
        self._failed = {reason: failed.labels(reason) for reason in (*FAILURES, OTHER)}
        self._refused = {code: refused.labels(code) for code in (*sorted(CODES), OTHER)}
        self._suspicious = self._counter(
            "suspicious_refreshes", "Genuine refresh tokens that seem to be in wrong hands, without reuse"
        )
        self._seconds = Histogram(
            "keyturn_http_request_duration_seconds", "How long answers took, by route and class of status",
            ["route", "status"], buckets=_BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._under_way = Gauges(self._registry)("http_requests_in_progress", "Requests under way", "livesum")
        self._observe: dict[tuple[str, int], Callable[[float], None]] = {}
        self._sampled = Sampled(self._registry, clock())

    # --- told ------------------------------------------------------------------------------------------------------

    def listener(self, event: events.Event) -> None:
        """Count an event."""
        if (counter := self._counted.get(type(event))) is not None:
            counter.inc()
        match event:
            case events.SessionEnded(reason=reason):
                self._ended[reason].inc()
            case events.LoginFailed(reason=reason):
                self._failed.get(reason, self._failed[OTHER]).inc()
            case events.RefreshRefused(high=True):
                self._suspicious.inc()
            case _:
                pass

    def begun(self) -> None:
        """Count a request that came."""
        self._under_way.inc()

    def answered(self, route: str, status: int, seconds: float, code: str = "") -> None:
        """Count an answer.

        Args:
            route: the name of the route, one of a few.
            status: as it was sent; 0 where none was.
            seconds: how long it took.
            code: of the error that it is; empty where it is none.
        """
        self._under_way.dec()
        of_kind = (route, status // 100)
        observe = self._observe.get(of_kind)
        if observe is None:
            words = f"{of_kind[1]}xx" if of_kind[1] else "none"
            observe = self._observe[of_kind] = self._seconds.labels(route, words).observe
        observe(seconds)
        if status >= 400:
            self._refused.get(code, self._refused[OTHER]).inc()

    # --- looked at -------------------------------------------------------------------------------------------------

    def watch(self, sources: Sources) -> None:
        """Say what `sample` looks at."""
        self._sources = sources
        self.sample()

    def sample(self) -> None:
        """Look at what nobody tells of; to be called every second or so, so that other workers can show it."""
        if self._sources is not None:
            self._sampled.look(self._sources, self._clock())

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Give the numbers of all workers, and the media type they are in.

        Args:
            accept: the ``Accept`` field: OpenMetrics for who asks for it, else the older text format.
        """
        self.sample()
        shown = CollectorRegistry()
        shown.register(_Shown(numbers_of_all() or self._registry, self._clock))
        encode, media_type = choose_encoder(accept)
        return encode(shown), media_type

    # --- made ------------------------------------------------------------------------------------------------------

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"keyturn_{name}", words, labels, registry=self._registry)


class _Shown:
    """The numbers as they are shown: the same ones by one worker and by several, and how old their picture is."""

    def __init__(self, behind: Any, clock: Callable[[], datetime]) -> None:
        self._behind = behind
        self._clock = clock

    def collect(self) -> Generator[Metric]:
        for family in self._behind.collect():
            # When a counter began is not known of several workers.
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
            if family.name == READ_AT:
                words = "How long ago the worker that is furthest behind read the log of ended sessions"
                age = Metric(_AGE, words, "gauge")
                age.add_sample(_AGE, {}, max(0.0, self._clock().timestamp() - family.samples[0].value))
                yield age


# --- the route -----------------------------------------------------------------------------------------------------


def metrics_route(metrics: Metrics, settings: Settings) -> Route:
    """Give ``GET /metrics``, which is not there for whoever is no operator (`is_operator`)."""

    async def show(request: StarletteRequest) -> Response:
        if not is_operator(request.scope):
            nothing = RequestError("There is nothing at this address.", code="not_found", status=404)
            reply = noted(replies.problem(nothing, settings), request.scope)
        else:
            accept = request.headers.get("accept", "")
            # A thread of its own: the others may all be waiting for a database, which is when somebody looks here.
            body, media_type = await anyio.to_thread.run_sync(metrics.text, accept, limiter=anyio.CapacityLimiter(1))
            reply = Reply(status=200, headers=(("Content-Type", media_type), ("Cache-Control", "no-store")), body=body)
        return response_of(replies.hardened(reply, settings))

    return Route(PATH, show, methods=["GET"])
