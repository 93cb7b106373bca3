"""Firefox without a window, driven by WebDriver BiDi; a profile is one of its containers, which share nothing."""

import json
import math
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.browser.engines.bidi import Bidi
from tests.browser.engines.face import Cookie, RefusedError, ScriptError
from tests.browser.engines.process import Program

LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
#: Names of the tests are this machine, and nothing else is asked for anything.
PREFERENCES = {
    "network.dns.localDomains": "app.example.test,sub.example.test,evil.test",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.search.update": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}
CALL = "async text => JSON.stringify(await ({function})(JSON.parse(text))) ?? 'null'"


class FirefoxTab:
    """A tab of Firefox."""

    def __init__(self, bidi: Bidi, context: str) -> None:
        self._bidi, self._context = bidi, context
        self._partition = {"type": "context", "context": context}

    def go(self, url: str) -> None:
        self._bidi.ask("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def reload(self) -> None:
        self._bidi.ask("browsingContext.reload", context=self._context, wait="complete")

    def evaluate(self, function: str, argument: Any = None) -> Any:
        told = self._bidi.ask(
            "script.callFunction",
            functionDeclaration=CALL.replace("{function}", function),
            arguments=[{"type": "string", "value": json.dumps(argument)}],
            target={"context": self._context},
            awaitPromise=True,
        )
        if told["type"] == "exception":
            raise ScriptError(told["exceptionDetails"]["text"])
        return json.loads(told["result"]["value"])

    def cookies(self) -> list[Cookie]:
        host = urlsplit(self.evaluate("() => location.href")).hostname or ""
        told = self._bidi.ask("storage.getCookies", partition=self._partition)["cookies"]
        # Of a cookie that is cleared by Max-Age=0 it may keep the name for some milliseconds; it does not send it.
        found = [cookie for cookie in map(_cookie, told) if (cookie.expires or math.inf) > time.time()]
        return sorted((each for each in found if f".{host}".endswith(f".{each.domain.lstrip('.')}")), key=_name)

    def clear_cookies(self) -> None:
        self._bidi.ask("storage.deleteCookies", partition=self._partition)

    def close(self) -> None:
        self._bidi.ask("browsingContext.close", context=self._context)


class FirefoxProfile:
    """A container of Firefox: its own jar, storages, locks and channels."""

    def __init__(self, bidi: Bidi) -> None:
        self._bidi = bidi
        self._user = bidi.ask("browser.createUserContext", acceptInsecureCerts=True)["userContext"]

    def open_tab(self, url: str) -> FirefoxTab:
        context = self._bidi.ask("browsingContext.create", type="tab", userContext=self._user)["context"]
        tab = FirefoxTab(self._bidi, context)
        tab.go(url)
        return tab

    def close(self) -> None:
        self._bidi.ask("browser.removeUserContext", userContext=self._user)


class Firefox:
    """A Firefox that runs, with settings of its own."""

    name = "Firefox"

    def __init__(self, need: Callable[[str], str], home: Path) -> None:
        path, self._home = need("firefox-esr"), home
        (self._home / "profile").mkdir()
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items())
        (self._home / "profile" / "user.js").write_text("\n".join(lines))
        options = ["--headless", "--no-remote", "--profile", str(self._home / "profile"), "--remote-debugging-port=0"]
        self._program = Program([path, *options, "about:blank"], self._home, {"MOZ_CRASHREPORTER_DISABLE": "1"})
        try:
            self._program.wait_until(lambda: LISTENS.search(self._program.said()))
            address = LISTENS.search(self._program.said())
            assert address is not None
            self._bidi = Bidi(address[1] + "/session")
            told = self._bidi.ask("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
        except BaseException:
            self._end()
            raise
        self.version: str = told["capabilities"]["browserVersion"]

    def new_profile(self) -> FirefoxProfile:
        return FirefoxProfile(self._bidi)

    def close(self) -> None:
        with suppress(RefusedError, AssertionError, OSError):
            self._bidi.ask("browser.close")
        self._bidi.close()
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self) -> None:
        self._program.end()
        shutil.rmtree(self._home, ignore_errors=True)


def _name(cookie: Cookie) -> str:
    return cookie.name


def _cookie(told: dict[str, Any]) -> Cookie:
    return Cookie(
        name=told["name"], value=told["value"]["value"], domain=told["domain"], path=told["path"],
        http_only=told["httpOnly"], secure=told["secure"], same_site=told["sameSite"].lower(),
        expires=told.get("expiry"),
    )  # fmt: skip
