"""The page on verifying elsewhere shows the files that tests/interop runs."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/verify-elsewhere.md"


@pytest.mark.parametrize(
    "name", sorted(path.name for path in (ROOT / "examples/verify-elsewhere").iterdir() if path.is_file())
)
def test_the_page_shows_the_file_as_it_is(name):
    assert (ROOT / "examples/verify-elsewhere" / name).read_text() in PAGE.read_text()
