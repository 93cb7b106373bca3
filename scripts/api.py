"""The reference of the public names, from their docstrings: ``docs/reference/api.md``."""

import dataclasses
import enum
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

#: Module -> the names that an application may use, in the order of the page. None: all of ``__all__``.
PUBLIC: dict[str, tuple[str, ...] | None] = {
    "keyturn": None,
    "keyturn.starlette": ("Keyturn", "Required", "Optional"),
    "keyturn.fastapi": ("Keyturn",),
    "keyturn.flask": ("Keyturn", "Extension", "Rule", "Required", "Optional", "Fresh"),
    "keyturn.httpx": None,
    "keyturn.events": (
        "Event", "SessionStarted", "SessionRefreshed", "RefreshReissued", "RefreshRecovered", "RefreshRefused",
        "ReuseDetected", "StoreWentBack", "SessionSteppedUp", "SessionEnded", "RefreshRequired", "LoginFailed",
    ),
    "keyturn.stores": ("open", "SessionStore", "Revocation", "Revocations", "Purged", "Turn", "Changes"),
    "keyturn.stores.memory": ("MemoryStore",),
    "keyturn.stores.sqlite": ("SqliteStore",),
    "keyturn.stores.sqlalchemy": ("SqlAlchemyStore",),
    "keyturn.stores.sqlalchemy.migrations": None,
    "keyturn.keyrings": ("open", "KeySource", "SeekingKeys"),
    "keyturn.keyrings.directory": ("DirectoryKeys",),
    "keyturn.keyrings.static": ("StaticKeys", "testing_keys"),
    "keyturn.remote": None,
    "keyturn.keys": (
        "KeyRing", "Key", "SpentId", "new_ring", "completed", "rotate_access", "rotate_refresh", "remove", "pruned",
    ),
    "keyturn.throttle": ("Throttle", "Attempt", "NoThrottle"),
    "keyturn.testing": None,
}  # fmt: skip

HEAD = """# API

Made from the docstrings by `make docs`. Names that are not here may change in any version.

"""


def api() -> str:
    """Give the page."""
    return HEAD + "\n".join(part for module in PUBLIC for part in _module(module)).rstrip() + "\n"


def first_sentence(thing: Any) -> str:
    """Give the first paragraph of a docstring in one line."""
    return " ".join(_markdown(inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    yield f"## {name}\n"
    yield first_sentence(module) + "\n"
    for public in PUBLIC[name] or module.__all__:
        try:
            thing = getattr(module, public)
        except ModuleNotFoundError:  # a suite that is named and not written yet
            continue
        yield from _thing(public, thing)


def _thing(name: str, thing: Any) -> Iterator[str]:
    if inspect.isclass(thing):
        yield from _class(name, thing)
    elif inspect.isfunction(thing):
        yield f"### {name}{_signature(thing)}\n"
        yield _doc(thing)
    else:
        yield f"### {name}\n"
        yield f"{type(thing).__name__}: {first_sentence(type(thing))}\n"


def _class(name: str, kind: type) -> Iterator[str]:
    yield f"### {name}{_signature(kind) if _is_built(kind) else ''}\n"
    parents = [
        base.__name__ for base in kind.__bases__ if base.__module__.startswith("keyturn") and base.__name__[0] != "_"
    ]
    if parents:
        yield f"A kind of {', '.join(parents)}.\n"
    yield _doc(kind)
    if issubclass(kind, enum.Enum):
        yield "".join(f"* `{member.name}` = `{member.value!r}`\n" for member in kind)
    if issubclass(kind, Exception) and "default_code" in vars(kind):
        yield f"Code `{kind.default_code}`, status {kind.default_status}.\n"  # type: ignore[attr-defined]
    for public, member in _members(kind):
        yield from _member(name, public, member)


def _is_built(kind: type) -> bool:
    if getattr(kind, "_is_protocol", False) or issubclass(kind, enum.Enum):
        return False
    return dataclasses.is_dataclass(kind) or "__init__" in vars(kind) or hasattr(kind, "_fields")


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    if "conformance" in kind.__module__:
        return
    for name, member in vars(kind).items():
        is_code = isinstance(member, property | cached_property | classmethod) or inspect.isfunction(member)
        if name[0] != "_" and is_code and inspect.getdoc(getattr(member, "__func__", member)):
            yield name, member


def _member(owner: str, name: str, member: Any) -> Iterator[str]:
    if isinstance(member, property | cached_property):
        yield f"#### {owner}.{name}\n"
        yield _doc(member)
        return
    function = member.__func__ if isinstance(member, classmethod) else member
    colour = "await " if inspect.iscoroutinefunction(function) else ""
    yield f"#### {colour}{owner}.{name}{_signature(function)}\n"
    yield _doc(function)


def _signature(thing: Any) -> str:
    parameters = [each for each in inspect.signature(thing).parameters.values() if each.name not in {"self", "cls"}]
    told, starred = [], False
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not starred:
            told.append("\\*")
            starred = True
        starred = starred or each.kind is each.VAR_POSITIONAL
        stars = {each.VAR_POSITIONAL: "\\*", each.VAR_KEYWORD: "\\*\\*"}.get(each.kind, "")
        told.append(stars + each.name.replace("_", "\\_") + ("" if each.default is each.empty else "=…"))
    return f"({', '.join(told)})"


def _doc(thing: Any) -> str:
    return _markdown(inspect.getdoc(thing) or "") + "\n"


_SECTIONS = {"Args:": "Arguments:", "Raises:": "Raises:", "Returns:": "Gives:"}


def _markdown(doc: str) -> str:
    """Turn a docstring into Markdown: sections into lists, literal blocks into code."""
    return "\n\n".join(_paragraph(part) for part in doc.replace("``", "`").split("\n\n"))


def _paragraph(text: str) -> str:
    head, _, body = text.partition("\n")
    if head in _SECTIONS:
        items = re.findall(r"^    (\S.*?): (.*(?:\n     +.*)*)", body, re.MULTILINE)
        return _SECTIONS[head] + "\n\n" + "\n".join(f"* {_names(who)}: {' '.join(what.split())}" for who, what in items)
    if text.startswith("    "):
        return "```python\n" + inspect.cleandoc(text) + "\n```"
    return text.removesuffix("::") + (":" if text.endswith("::") else "")


def _names(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))
