"""The coroutines that start sessions and turn their keys. Written once; doors await them or drive them.

The order is the same everywhere: the store's step, then the user, then the tokens, then the event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeAlias, cast

from . import _admission, _policy
from ._admission import Start
from ._application import checked_principal
from ._binding import BINDING_BYTES, binding_digest, new_binding
from ._clients import Clients
from ._colour import Caller
from ._ends import NOWHERE, Ends, Origin, event
from ._issuing import Issuer
from ._policy import CatchUp, Presented, Recover, Refuse, Reissue, Reuse
from ._refresh_token import SEED_BYTES, RefreshToken
from .errors import (
    ConfigurationError,
    CredentialsError,
    KeyturnError,
    RequestError,
    SessionEndedError,
    SessionLimitError,
    StoreError,
    TokenStaleError,
)
from .events import (
    Event,
    RefreshRecovered,
    RefreshRefused,
    RefreshReissued,
    ReuseDetected,
    SessionRefreshed,
    SessionStarted,
    SessionSteppedUp,
    StoreWentBack,
)
from .session import MAX_GENERATION, EndReason, Session
from .settings import Settings
from .stores import Admitting, SessionStore, Turn
from .tokens import TokenPair
from .users import Principal, Users

#: `Verifier.report`: tells first sightings to the function it is given.
Report: TypeAlias = Callable[[Callable[[Mapping[str, int]], Awaitable[None]]], Awaitable[None]]

#: Row 8 of the table: the row moves under us only as often as others turn it.
_ATTEMPTS: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a sign-in, a refresh or a step-up gave.

    Args:
        turned: False where the same successor was given again.
    """

    pair: TokenPair
    session: Session
    principal: Principal
    turned: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Flows:
    """Sign-in, refresh and step-up, over one store, one key ring and one set of settings."""

    settings: Settings
    store: SessionStore
    users: Users | None
    clock: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    call: Caller
    issuer: Issuer
    ends: Ends
    report: Report | None = None
    clients: Clients | None = None

    # --- sign-in ---------------------------------------------------------------------------------------------------

    async def start(
        self, principal: Principal, how: Start, origin: Origin = NOWHERE, *, presented: RefreshToken | None = None
    ) -> Outcome:
        """Start a session for a user who has just proved who they are.

        Args:
            presented: a refresh token that the sign-in still carried. It is never adopted; its session is ended where
                it is the same user's, and left alone where it is a stranger's (SE-01).
        """
        if fault := _admission.subject_fault(principal, self.clients or frozenset()):
            raise ConfigurationError([fault])
        if principal.disabled:
            raise CredentialsError
        if self.clients is not None and not await self.clients.has(how.client_id):
            raise RequestError("client_id is not registered.")
        how = replace(
            how, scope=_admission.checked_scope(how.scope, principal.scopes), client=_admission.bounded(how.client)
        )
        now, seed = self.clock(), self.entropy(SEED_BYTES)
        binding = new_binding(self.entropy(BINDING_BYTES)) if self._binds(how) else None
        digest = None if binding is None else binding_digest(binding)
        session = _admission.start(
            principal, how, now=now, settings=self.settings, random=self.entropy(14), seed=seed, binding=digest
        )
        # Made before the row is kept: claims that cannot be signed leave no session behind.
        pair = self.issuer.pair(session, seed, principal, now=now, binding=binding)
        live = await self._kept(session, presented, origin)
        surplus, refused = _admission.over_limit(live, session.id, self.settings)
        await self.ends.end(surplus, EndReason.LIMIT, origin)
        if refused:
            raise SessionLimitError
        await self.ends.teller.tell(event(SessionStarted, session, origin, now, principal=principal))
        return Outcome(pair=pair, session=session, principal=principal)

    def _binds(self, how: Start) -> bool:
        return how.transport == "cookie" and self.settings.binding == "cookie"

    async def _kept(self, session: Session, presented: RefreshToken | None, origin: Origin) -> Sequence[str]:
        """Keep the row; give the ids of the user's live sessions, or none where they are no more than may be."""
        # Where a token came, its session ends in between, and takes nobody's place. The class is asked for the verb, since
        # a wrapper of a store may have a function for every name.
        if presented is None and hasattr(type(self.store), "add_among"):
            store = cast("Admitting", self.store)
            return await store.add_among(session, limit=self.settings.max_sessions)
        await self.store.add(session)
        if presented is not None:
            await self.ends.end_own(presented, session.subject, origin)
        live = await self.store.find(session.realm, session.subject, now=session.created_at)
        return [each.id for each in live]

    # --- refresh ---------------------------------------------------------------------------------------------------

    async def refresh(self, presented: Presented, origin: Origin = NOWHERE, *, scope: str | None = None) -> Outcome:
        """Turn the key of the session that a genuine refresh token belongs to (docs/explanation/sessions.md)."""
        if scope:
            await self._check_scope(presented, scope)
        now = self.clock()
        session, fact = await self._step(presented, origin, now)
        await self._require_client(session, now, origin)
        principal = await self._user_of(session, origin)
        pair = self.issuer.pair(session, presented.token.seed, principal, now=now, scope=scope)
        await self.ends.teller.tell(fact)
        turned = isinstance(fact, SessionRefreshed | StoreWentBack)
        return Outcome(pair=pair, session=session, principal=principal, turned=turned)

    async def _step(self, presented: Presented, origin: Origin, now: datetime) -> tuple[Session, Event]:
        turn = _policy.plan_turn(presented, now=now, settings=self.settings)
        for _ in range(_ATTEMPTS):
            if session := await self._advance(turn):
                return session, event(SessionRefreshed, session, origin, now)
            await self.acknowledge()
            row = await self.store.get(turn.id)
            decision = _policy.decide_refresh(row, presented, now=now, settings=self.settings)
            turn = _policy.plan_again(turn, row)
            if done := await self._carry_out(decision, row, turn, origin):
                return done
        raise StoreError(cause="the row moved under every attempt to turn it")

    async def _advance(self, turn: Turn) -> Session | None:
        return await self.store.advance(turn) if turn.to <= MAX_GENERATION else None

    async def acknowledge(self) -> None:
        """Tell the store which generations were seen in use, so that a predecessor is judged by what is known here."""
        if self.report is not None:
            await self.report(self.store.acknowledge)

    async def _carry_out(
        self, decision: _policy.Decision, row: Session | None, turn: Turn, origin: Origin
    ) -> tuple[Session, Event] | None:
        """Act on a decision; None means: take the step again."""
        match decision:
            case Refuse():
                await self._refuse(decision, row, turn.now, origin)
            case Reuse() if row is not None:
                await self._alarm(decision, row, turn.now, origin)
            case Reissue() if row is not None:
                return row, event(RefreshReissued, row, origin, turn.now)
            case Recover(generation) if row is not None:
                # Before it is counted: while users cannot be loaded no answer comes, and eight such would be an alarm.
                # So would be claims that outgrew the access token.
                await self._require_client(row, turn.now, origin)
                principal = await self._load(row.subject)
                if principal is not None:
                    self.issuer.check({**principal.claims, **row.claims}, turn.now)
                if session := await self.store.recover(turn.id, generation=generation, now=turn.now):
                    return session, event(RefreshRecovered, session, origin, turn.now)
            case CatchUp(generation):
                if session := await self.store.advance(_policy.plan_catch_up(turn, decision)):
                    fact = event(
                        StoreWentBack, session, origin, turn.now,
                        row_generation=generation, token_generation=turn.generation,
                    )  # fmt: skip
                    return session, fact
            case _:
                pass
        return None

    async def _refuse(self, refusal: Refuse, row: Session | None, now: datetime, origin: Origin) -> None:
        fact = RefreshRefused(
            at=now, session=row, client=origin.client, request=origin.request,
            code=refusal.code, reason=refusal.reason, high=refusal.high,
        )  # fmt: skip
        await self.ends.teller.tell(fact)
        raise _policy.error_of(refusal)

    async def _require_client(self, session: Session, now: datetime, origin: Origin) -> None:
        """Refuse the session of a program that is registered no more; its row is left as it is, should that be a slip."""
        if self.clients is None or await self.clients.has(session.client_id):
            return
        await self._refuse(Refuse("session_ended", "client_removed"), session, now, origin)

    async def _alarm(self, reuse: Reuse, row: Session, now: datetime, origin: Origin) -> None:
        ended = await self.ends.end([row.id], EndReason.REUSE, origin)
        if ended:  # told once, however many copies arrive together
            fact = event(
                ReuseDetected, ended[0], origin, now,
                behind=reuse.behind, since_rotation=reuse.since_rotation, sign_in_client=row.client,
            )  # fmt: skip
            await self.ends.teller.tell(fact)
        raise SessionEndedError(EndReason.REUSE.value)

    async def _check_scope(self, presented: Presented, scope: str) -> None:
        """Refuse a scope that is not granted before anything turns, so that a wrong request loses nothing."""
        row = await self.store.get(presented.token.session_id)
        decision = _policy.decide_refresh(row, presented, now=self.clock(), settings=self.settings)
        if row is None or isinstance(decision, Refuse | Reuse):
            return  # the step says so, and raises the alarm that is due
        principal = await self._load(row.subject)
        if principal is not None and not principal.disabled:
            _admission.checked_scope(scope, _admission.granted_scope(row.scope, principal))

    async def _user_of(self, session: Session, origin: Origin) -> Principal:
        principal = await self._load(session.subject)
        if principal is not None and principal.subject != session.subject:
            raise ConfigurationError(["users.load gave another user than it was asked for: compare the subject's type"])
        if principal is None or principal.disabled:
            await self.ends.end([session.id], EndReason.USER_DISABLED, origin)
            raise SessionEndedError(EndReason.USER_DISABLED.value)
        return principal

    async def _load(self, subject: str) -> Principal | None:
        if self.users is None:
            raise ConfigurationError(["users is missing: a refresh asks it whether the user may still be signed in"])
        try:
            principal: Principal | None = await self.call(self.users.load, subject)
        except KeyturnError:
            raise
        except Exception as error:
            # Not answered with "no such user": that would sign everybody out while the user database is away.
            raise StoreError(cause=f"users.load raised {type(error).__name__}") from error
        return checked_principal(principal, "users.load")

    # --- step-up ---------------------------------------------------------------------------------------------------

    async def step_up(
        self,
        presented: Presented,
        origin: Origin = NOWHERE,
        *,
        amr: tuple[str, ...] | None = None,
        claims: Mapping[str, Any] | None = None,
        rebind: bool = False,
    ) -> Outcome:
        """Turn the key because the user proved again who they are: older tokens are dead at once, silently."""
        now = self.clock()
        if claims is not None:
            self.issuer.check(claims, now)  # before anything turns: a claim that cannot be signed loses nothing
        # The same for a user who cannot be loaded: older tokens would be dead, and no answer would bring the new ones.
        if (row := await self.store.get(presented.token.session_id)) is not None:
            await self._require_client(row, now, origin)
            await self._load(row.subject)
        binding = new_binding(self.entropy(BINDING_BYTES)) if rebind and presented.binding is not None else None
        turn = _policy.plan_step_up(
            presented, now=now, settings=self.settings, amr=amr, claims=claims,
            new_binding=None if binding is None else binding_digest(binding),
        )  # fmt: skip
        session = await self._advance(turn) or await self._step_up_again(turn, presented)
        self.ends.announce({session.id: turn.to}, _policy.announce_until(now, self.settings))
        principal = await self._user_of(session, origin)
        pair = self.issuer.pair(session, presented.token.seed, principal, now=now, binding=binding)
        await self.ends.teller.tell(event(SessionSteppedUp, session, origin, now))
        return Outcome(pair=pair, session=session, principal=principal)

    async def _step_up_again(self, turn: Turn, presented: Presented) -> Session:
        row = await self.store.get(turn.id)
        decision = _policy.decide_refresh(row, presented, now=turn.now, settings=self.settings)
        if isinstance(decision, Refuse):
            raise _policy.error_of(decision)
        again = _policy.plan_again(turn, row)
        if again != turn and (session := await self._advance(again)):
            return session
        raise TokenStaleError(cause="not_current")
