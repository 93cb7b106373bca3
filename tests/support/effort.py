"""How many examples a property is tried with: few by default, many with ``--hypothesis-profile=thorough``."""

from typing import Any

from hypothesis import settings

BRIEF = 100
THOROUGH = 2000


def register_profiles() -> None:
    """Make the two profiles known. Neither has a deadline: no test here asserts how fast the machine is."""
    settings.register_profile("brief", deadline=None, max_examples=BRIEF)
    settings.register_profile("thorough", deadline=None, max_examples=THOROUGH)
    settings.load_profile("brief")


def examples(number: int, **more: Any) -> settings:
    """Give the settings for a property that is worth `number` examples in the brief profile."""
    return settings(max_examples=number * settings.default.max_examples // BRIEF, deadline=None, **more)
