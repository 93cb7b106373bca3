"""An issuer in one process, its users, and the devices that sign in: what tests of the flows are made of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from keyturn._admission import Start
from keyturn._binding import presented_digest
from keyturn._build import Chance, build_flows
from keyturn._clients import Clients
from keyturn._colour import Caller, call_blocking, drive
from keyturn._flows import Flows, Outcome
from keyturn._policy import Presented
from keyturn._refresh_token import RefreshToken
from keyturn.errors import TokenError
from keyturn.events import Event
from keyturn.keyrings import KeySource
from keyturn.keyrings.static import testing_keys
from keyturn.revocation import FloorMap
from keyturn.session import EndReason, Session, Transport
from keyturn.settings import Settings
from keyturn.testing.clock import ManualClock
from keyturn.testing.entropy import CountingEntropy
from keyturn.tokens import Claims
from keyturn.users import Principal, RegisteredClient
from keyturn.verifier import Verifier
from tests.support.rows import BROWSER

KEYS = testing_keys()
ALICE = Principal(subject="alice", scopes=frozenset({"read", "write"}))
BOB = Principal(subject="bob", scopes=frozenset({"read"}))


class People:
    """The application's users."""

    def __init__(self, *everybody: Principal) -> None:
        self.known = {principal.subject: principal for principal in everybody}
        self.trouble: Exception | None = None
        self.loads = 0

    def authenticate(self, username: str, password: str, request: Any) -> Principal | None:
        return self.known.get(username)

    def load(self, subject: str) -> Principal | None:
        self.loads += 1
        if self.trouble is not None:
            raise self.trouble
        return self.known.get(subject)


@dataclass
class Device:
    """What a client holds: it keeps whatever the last answer brought."""

    transport: Transport
    refresh_token: str
    access_token: str
    binding: str | None = None

    def take(self, answer: Outcome) -> "Device":
        """Store an answer; the device itself is given back."""
        self.refresh_token, self.access_token = answer.pair.refresh_token, answer.pair.access_token
        self.binding = answer.pair.binding or self.binding
        return self

    def copy(self) -> "Device":
        """What a thief who was there now would hold."""
        return replace(self)


@dataclass
class Desk:
    """An issuer: flows over a store, and everything they were given, at hand."""

    settings: Settings
    store: Any
    clock: Callable[[], datetime]
    people: People
    flows: Flows
    verifier: Verifier
    facts: list[Event] = field(default_factory=list)

    def run(self, coroutine: Any) -> Any:
        """Run a flow to its end."""
        return drive(coroutine)

    def advance(self, by: timedelta | float) -> None:
        """Let time pass, by a clock that this desk or several have in common."""
        assert isinstance(self.clock, ManualClock)
        self.clock.advance(by)

    # --- what devices do ---

    def sign_in(
        self,
        principal: Principal = ALICE,
        transport: Transport = "cookie",
        presented: RefreshToken | None = None,
        **how: Any,
    ) -> Device:
        """Sign a user in on a new device; the sign-in may still carry an old refresh token."""
        pair = self.run(self.flows.start(principal, Start(transport=transport, **how), presented=presented)).pair
        return Device(transport, pair.refresh_token, pair.access_token, pair.binding)

    def presented(self, device: Device, *, client_id: str | None = None) -> Presented:
        """What the flows are given for a request of the device."""
        return Presented(
            token=self.flows.issuer.seals.open(device.refresh_token, self.clock()),
            transport=device.transport,
            binding=presented_digest(device.binding),
            client_id=client_id,
        )

    def ask(self, device: Device, *, scope: str | None = None, client_id: str | None = None) -> Outcome:
        """Let the device send a refresh; the answer is given to the caller, and not yet to the device."""
        outcome: Outcome = self.run(self.flows.refresh(self.presented(device, client_id=client_id), scope=scope))
        return outcome

    def refresh(self, device: Device, **how: Any) -> Device:
        """Let the device refresh and keep the answer."""
        return device.take(self.ask(device, **how))

    def step_up(self, device: Device, **how: Any) -> Outcome:
        """Let the device prove again who its user is."""
        outcome: Outcome = self.run(self.flows.step_up(self.presented(device), **how))
        return outcome

    def use(self, device: Device) -> Claims:
        """Let the device call the API: its access token is verified in full, and the sighting reported at once."""
        claims = self.verify(device.access_token, device.binding)
        self.run(self.flows.acknowledge())
        return claims

    # --- what others do ---

    def verify(self, token: str, binding: str | None = None) -> Claims:
        """Verify an access token in this process."""
        return self.verifier.verify(token, binding=binding)

    def row(self, device: Device) -> Session:
        """The device's row."""
        row = self.run(self.store.get(self.presented(device).token.session_id))
        assert row is not None
        return row

    def end(self, device: Device, reason: EndReason = EndReason.LOGOUT) -> int:
        """End the device's session."""
        return len(self.run(self.flows.ends.end([self.row(device).id], reason)))

    def require(self, device: Device) -> None:
        """Make the device's access tokens stale, as a change of roles does."""
        self.run(self.flows.ends.require([self.row(device)]))

    def told(self, *kinds: type[Event]) -> list[Any]:
        """The events of some kinds, in their order; of all kinds where none is named."""
        return [fact for fact in self.facts if not kinds or isinstance(fact, kinds)]


def a_desk(
    store: Any,
    *,
    settings: Settings = BROWSER,
    clock: Callable[[], datetime] | None = None,
    people: People | None = None,
    call: Caller = call_blocking,
    listeners: Iterable[Callable[[Event], Any]] = (),
    client_ids: frozenset[str] = frozenset(),
    entropy: Callable[[int], bytes] | None = None,
    keys: KeySource = KEYS,
) -> Desk:
    """Build an issuer over a store."""
    clock = clock or ManualClock()
    people = people or People(ALICE, BOB)
    facts: list[Event] = []
    verifier = Verifier(settings, keys, clock=clock, floors=FloorMap())
    flows = build_flows(
        settings,
        store,
        keys,
        people,
        chance=Chance(clock=clock, entropy=entropy or CountingEntropy()),
        call=call,
        floors=verifier.floors,
        listeners=(*listeners, facts.append),
        report=verifier.report,
        clients=Clients({id_: RegisteredClient(id=id_) for id_ in client_ids}, call) if client_ids else None,
    )
    return Desk(
        settings=settings,
        store=store,
        clock=clock,
        people=people,
        flows=flows,
        verifier=verifier,
        facts=facts,
    )


def generation(desk: Desk, device: Device) -> int:
    """The generation of the token that a device holds."""
    return desk.presented(device).token.generation


def is_over(desk: Desk, device: Device) -> bool:
    """Whether neither of a device's tokens is good for anything, and the row says so."""
    for use in (lambda: desk.verify(device.access_token, device.binding), lambda: desk.ask(device)):
        try:
            use()
        except TokenError:
            continue
        return False
    return desk.row(device).ended_at is not None
