"""A client of Keyturn with nothing but the standard library: one store, one lock, and the rules of the page."""

import json
import os
import threading
import time
import urllib.error
import urllib.request


class Client:
    def __init__(self, issuer, store):
        self.issuer, self.store, self.lock = issuer, store, threading.Lock()
        self.access, self.renew_at = None, 0.0

    def sign_in(self, username, password):
        with self.lock:
            self._ask("/auth/login", {"username": username, "password": password, "transport": "body"})

    def get(self, url):
        token = self._token()
        status, body = send(url, token=token)
        if status == 401 and body.get("code") in ("token_expired", "token_stale", "token_missing"):
            return send(url, token=self._token(refused=token))  # once, and no more
        return status, body

    def _token(self, refused=None):
        with self.lock:  # one refresh at a time; whoever waited finds a new token
            if self.access in (None, refused) or time.monotonic() >= self.renew_at:
                self._ask("/auth/refresh", {"refresh_token": self.store.read_text()})
            return self.access

    def _ask(self, route, body):
        asked_at = time.monotonic()
        status, answer = send(self.issuer + route, body)
        if status != 200:  # 503 and 429: try again later; else sign in. The store stays as it is
            raise PermissionError(answer.get("code", f"http_{status}"))
        waiting = self.store.with_name(self.store.name + ".new")
        waiting.touch(mode=0o600)
        with waiting.open("w") as file:
            file.write(answer["refresh_token"])
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(self.store)  # first keep it, then use it
        self.access, self.renew_at = answer["access_token"], asked_at + answer["expires_in"] * 0.9


def send(url, body=None, token=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}")
