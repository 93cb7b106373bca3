"""The application's own work on the same engine: nothing of it is flushed, committed or rolled back by ours, nor ours by it."""

from typing import Any

import pytest
from sqlalchemy import String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from keyturn.errors import SessionEndedError
from keyturn.events import ReuseDetected
from tests.support.all_stores import WAYS, Backing
from tests.support.desk import Desk, Device, is_over
from tests.support.rows import DAY

BLOCKING = [name for name, way in WAYS.items() if not way.awaits]
AWAITING = [name for name, way in WAYS.items() if way.awaits]


class Base(DeclarativeBase):
    """The application's tables."""


class Order(Base):
    """Something that the application sells."""

    __tablename__ = "shop_order"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(20))


@pytest.fixture
def shop(backing: Backing) -> Any:
    """The application's table with one order in it; gives what others see of that order."""
    backing.execute(
        "CREATE TABLE shop_order (id INTEGER PRIMARY KEY, state VARCHAR(20))",
        "INSERT INTO shop_order VALUES (1, 'new')",
    )
    yield lambda: list(backing.execute("SELECT id, state FROM shop_order ORDER BY id"))
    backing.execute("DROP TABLE shop_order")


def everything_of_ours(desk: Desk) -> tuple[Device, Device]:
    """Use every verb; give a device that lives on and one whose session was ended as stolen."""
    living, stolen = desk.sign_in(), desk.sign_in()
    spent = stolen.copy()
    for _ in range(2):
        desk.advance(DAY)
        for device in (living, stolen):
            desk.use(desk.refresh(device))
    desk.ask(living)  # lost
    desk.advance(DAY)
    living.take(desk.ask(living))  # recovered
    desk.require(living)
    living.take(desk.step_up(living))
    with pytest.raises(SessionEndedError):
        desk.ask(spent)
    desk.run(desk.flows.ends.purge(None, 10))
    return living, stolen


@pytest.mark.ids("M35")
@pytest.mark.parametrize("backing", BLOCKING, indirect=True)
def test_a_dirty_object_of_the_application_stays_unwritten(backing, desk, shop):
    with Session(backing.application) as session:
        order = session.get_one(Order, 1)
        order.state = "half done"
        session.add(Order(id=2, state="half done"))
        everything_of_ours(desk)
        assert session.dirty
        assert session.new
        assert shop() == [(1, "new")]
        session.rollback()
    assert shop() == [(1, "new")]


@pytest.mark.ids("M35", "M51")
@pytest.mark.parametrize("backing", BLOCKING, indirect=True)
@pytest.mark.parametrize("ends", ["with an exception", "with a commit"])
def test_a_transaction_of_the_application_around_ours_keeps_neither_back(backing, desk, shop, ends):
    """A theft that shows inside of it stays ended though the application rolls back, which is what its error path does."""
    try:
        with backing.application.begin() as connection:
            connection.execute(text("INSERT INTO shop_order VALUES (2, 'half done')"))
            living, stolen = everything_of_ours(desk)
            assert shop() == [(1, "new")], "ours has committed the application's"
            if ends == "with an exception":
                raise LookupError
    except LookupError:
        assert shop() == [(1, "new")]
    else:
        assert shop() == [(1, "new"), (2, "half done")]
    assert len(desk.told(ReuseDetected)) == 1
    assert is_over(desk, stolen)
    desk.advance(DAY)
    desk.use(desk.refresh(living))


@pytest.mark.ids("M35", "M51")
@pytest.mark.parametrize("backing", AWAITING, indirect=True)
def test_an_awaiting_transaction_of_the_application_around_ours_keeps_neither_back(backing, desk, shop):
    transaction = None

    async def begin() -> Any:
        connection = await backing.application.connect()
        begun = await connection.begin()
        await connection.execute(text("INSERT INTO shop_order VALUES (2, 'half done')"))
        return connection, begun

    async def roll_back(connection: Any, begun: Any) -> None:
        await begun.rollback()
        await connection.close()

    transaction = backing.run(begin())
    living, stolen = everything_of_ours(desk)
    assert shop() == [(1, "new")]
    backing.run(roll_back(*transaction))
    assert shop() == [(1, "new")]
    assert is_over(desk, stolen)
    desk.advance(DAY)
    desk.use(desk.refresh(living))
