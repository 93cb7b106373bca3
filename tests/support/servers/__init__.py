"""Real servers that tests start themselves, on free ports of the loopback interface with data in a temporary folder.

    with PostgresqlServer({"synchronous_commit": "off"}) as server:
        url = server.new_database()

is a server of one's own, to be killed and started again; `postgresql` and `mariadb` in tests/conftest.py are those that
all tests share. Programs that are missing skip the test, saying how to get them.
"""

from ._database import DatabaseServer as DatabaseServer
from ._process import remove_run_folder as remove_run_folder
from .mariadb import MariadbServer as MariadbServer
from .postgresql import PostgresqlServer as PostgresqlServer
from .proxy import Proxy as Proxy
