"""WebKitGTK on a screen that nobody sees, driven by W3C WebDriver; it runs one browser at a time."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx

from tests.browser.engines.face import PATIENCE, Cookie, RefusedError, ScriptError
from tests.browser.engines.names import Names
from tests.browser.engines.process import Program
from tests.support.servers._process import free_port

CALL = """const done = arguments[arguments.length - 1];
(async () => JSON.stringify(await ({function})(JSON.parse(arguments[0]))) ?? 'null')()
    .then(text => done([text]), error => done([null, String(error)]))"""
#: Its sandbox wants namespaces that a container's root has not; what is shown to it here are pages of ours.
ENVIRONMENT = {
    "GDK_BACKEND": "x11",
    "GIO_USE_VFS": "local",
    "GSETTINGS_BACKEND": "memory",
    "LIBGL_ALWAYS_SOFTWARE": "1",
    "NO_AT_BRIDGE": "1",
    "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
    "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
}


class Driver:
    """A conversation with the driver about one session of it."""

    def __init__(self, http: httpx.Client, session: str) -> None:
        self._http, self._session = http, session
        self._handle = ""

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, handle: str = "") -> Any:
        """Send a command, to this window first where one is named."""
        if handle and handle != self._handle:
            answer(self._http, "POST", f"/session/{self._session}/window", {"handle": handle})
            self._handle = handle
        return answer(self._http, method, f"/session/{self._session}{path}", body)

    def forget(self) -> None:
        """Be in no window."""
        self._handle = ""


def answer(http: httpx.Client, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Send a command and give the value of its answer (WebDriver section 6.4)."""
    told = http.request(method, path, json=body if body is not None or method != "POST" else {})
    value = told.json()["value"]
    if not told.is_success:
        raise RefusedError(f"{method} {path}: {value}")
    return value


class WebkitTab:
    """A tab of WebKitGTK's small browser."""

    def __init__(self, driver: Driver, handle: str, gone: Callable[["WebkitTab"], None]) -> None:
        self._driver, self._handle, self._gone = driver, handle, gone

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._driver.ask(method, path, body, handle=self._handle)

    def go(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def reload(self) -> None:
        self._ask("POST", "/refresh")

    def evaluate(self, function: str, argument: Any = None) -> Any:
        script = CALL.replace("{function}", function)
        text, *error = self._ask("POST", "/execute/async", {"script": script, "args": [json.dumps(argument)]})
        if error:
            raise ScriptError(*error)
        return json.loads(text)

    def cookies(self) -> list[Cookie]:
        return sorted((_cookie(each) for each in self._ask("GET", "/cookie")), key=lambda cookie: cookie.name)

    def clear_cookies(self) -> None:
        self._ask("DELETE", "/cookie")

    def close(self) -> None:
        self._ask("DELETE", "/window")
        self._driver.forget()
        self._gone(self)


class WebkitProfile:
    """A browser of its own; its jar and its storages are in memory."""

    def __init__(self, http: httpx.Client, names: Names, back: Callable[["WebkitProfile"], None]) -> None:
        # (The driver's own capability `proxy` is of no use: it speaks TLS to the proxy, and has no SOCKS for https.)
        options = {"args": ["--automation", f"--proxy=socks5://127.0.0.1:{names.port}", "--ignore-host=localhost"]}
        wanted = {"alwaysMatch": {"acceptInsecureCerts": True, "webkitgtk:browserOptions": options}}
        told = answer(http, "POST", "/session", {"capabilities": wanted})
        self.version: str = told["capabilities"]["browserVersion"]
        self._driver = Driver(http, told["sessionId"])
        self._driver.ask("POST", "/timeouts", {"script": PATIENCE * 1000, "pageLoad": PATIENCE * 1000})
        self._first: str = self._driver.ask("GET", "/window")  # stays: the driver ends a browser that has no window
        self._tabs: list[WebkitTab] = []
        self._back = back

    def open_tab(self, url: str) -> WebkitTab:
        told = self._driver.ask("POST", "/window/new", {"type": "window"}, handle=self._first)
        tab = WebkitTab(self._driver, told["handle"], self._tabs.remove)
        self._tabs.append(tab)
        tab.go(url)
        return tab

    def close(self) -> None:
        """Leave it as it was, or end it where that fails; origins are new in each test, cookies know no ports."""
        try:
            for tab in [*self._tabs]:
                tab.clear_cookies()
                tab.close()
        except (RefusedError, httpx.HTTPError):
            self._driver.ask("DELETE", "")
        else:
            self._back(self)


class Webkit:
    """A driver of WebKitGTK and a screen for its browsers."""

    name = "WebKitGTK"

    def __init__(self, need: Callable[[str], str], home: Path) -> None:
        driver, screen, self._home = need("WebKitWebDriver"), need("Xvfb"), home
        self._programs: list[Program] = []
        self._names = Names()
        try:
            display = self._show(screen)
            port = free_port()
            self._programs.append(
                Program([driver, f"--port={port}", "--host=127.0.0.1"], self._home, {**ENVIRONMENT, "DISPLAY": display})
            )
            self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE + 5, trust_env=False)
            self._programs[-1].wait_until(self._answers)
            self._idle = [profile := WebkitProfile(self._http, self._names, self._keep)]
        except BaseException:
            self._end()
            raise
        self.version: str = profile.version

    def new_profile(self) -> WebkitProfile:
        return self._idle.pop() if self._idle else WebkitProfile(self._http, self._names, self._keep)

    def _keep(self, profile: WebkitProfile) -> None:
        self._idle.append(profile)

    def close(self) -> None:
        self._http.close()
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _show(self, screen: str) -> str:
        """Start the screen on a number that is free; it says which."""
        reading, writing = os.pipe()
        with os.fdopen(reading) as told:
            try:
                options = ["-displayfd", str(writing), "-screen", "0", "1280x1024x24", "-nolisten", "tcp", "-noreset"]
                self._programs.append(Program([screen, *options], self._home, pass_fds=[writing]))
            finally:
                os.close(writing)
            number = told.readline().strip()  # its end closes the pipe: nobody waits for a screen that did not start
        assert number, f"no screen:\n{self._programs[-1].said()}"
        return f":{number}"

    def _answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return self._http.get("/status").is_success
        return False

    def _end(self) -> None:
        for program in reversed(self._programs):
            program.end()
        self._names.close()
        shutil.rmtree(self._home, ignore_errors=True)


def _cookie(told: dict[str, Any]) -> Cookie:
    return Cookie(
        name=told["name"], value=told["value"], domain=told["domain"], path=told["path"],
        http_only=told["httpOnly"], secure=told["secure"], same_site=told.get("sameSite", "").lower(),
        expires=told.get("expiry"),
    )  # fmt: skip
