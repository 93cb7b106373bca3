"""WebDriver BiDi (https://w3c.github.io/webdriver-bidi/): commands and answers in JSON over one WebSocket."""

import json
import socket
from collections.abc import Iterator
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, RejectConnection, Request, TextMessage

from tests.browser.engines.face import PATIENCE, RefusedError


class Bidi:
    """A connection that asks, and waits for the answer before it asks the next."""

    def __init__(self, address: str) -> None:
        place = urlsplit(address)
        self._socket = socket.create_connection((place.hostname, place.port), timeout=PATIENCE)
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._numbers = count(1)
        self._texts = self._received()
        self._socket.sendall(self._protocol.send(Request(host=place.netloc, target=place.path)))
        assert next(self._texts) == "", "the browser takes no WebSocket"

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and give what it brought."""
        number = next(self._numbers)
        command = json.dumps({"id": number, "method": method, "params": params})
        self._socket.sendall(self._protocol.send(TextMessage(command)))
        for text in self._texts:
            answer = json.loads(text)
            if answer.get("id") == number:
                if answer["type"] == "error":
                    raise RefusedError(f"{method}: {answer['error']}: {answer['message']}")
                result: dict[str, Any] = answer["result"]
                return result
        raise AssertionError(f"the browser closed the connection in {method}")

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _received(self) -> Iterator[str]:
        """Give the messages, the empty one first for the handshake."""
        parts: list[str] = []
        while True:
            for event in self._protocol.events():
                match event:
                    case AcceptConnection():
                        yield ""
                    case TextMessage(data=data, message_finished=finished):
                        parts.append(data)
                        if finished:
                            yield "".join(parts)
                            parts.clear()
                    case Ping():
                        self._socket.sendall(self._protocol.send(event.response()))
                    case CloseConnection() | RejectConnection():
                        return
            if not (data := self._socket.recv(65536)):
                return
            self._protocol.receive_data(data)
