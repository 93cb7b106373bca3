"""The pictures of the page in README and docs: taken at each run, and kept with KEYTURN_SCREENSHOTS=1."""

import os
import struct
import zlib
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.demo_site import Visit, demonstration, visiting

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
#: Two columns of the page, and the height that a reader of the README sees of it.
WIDTH, HEIGHT = 1200, 860
#: name -> (colours, the part of the page on top)
PICTURES = {"page.png": ("light", "body"), "page-dark.png": ("dark", "body"), "attack-room.png": ("light", "#attacks")}
LARGEST = 200 * 1024
WANTED = os.environ.get("KEYTURN_SCREENSHOTS") == "1"


def test_the_pictures_can_be_taken_anew(chromium: Browser, tmp_path: Path) -> None:
    folder = IMAGES if WANTED else tmp_path / "images"
    # Tokens of a few seconds, so that a picture shows several lives.
    with (
        demonstration(tmp_path, access_token_lifetime=timedelta(seconds=8)) as site,
        visiting(chromium, site, viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce") as visit,
    ):
        site.phone()
        visit.sign_in()
        play(visit)
        folder.mkdir(exist_ok=True)
        for name, (scheme, part) in PICTURES.items():
            visit.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
            visit.page.locator(part).evaluate("it => it.scrollIntoView({ block: 'start' })")
            visit.page.wait_for_timeout(1100)  # the drawing is drawn once a second where no motion is wanted
            visit.page.screenshot(path=folder / name, animations="disabled")
            assert_it_shows_something(folder / name)


def play(visit: Visit) -> None:
    """Let something happen that is worth a picture."""
    visit.run("replay")
    visit.card("replay").get_by_role("button", name="Sign in again").click()
    expect(visit.page.locator("#pill-text")).to_have_text("Signed in")
    visit.run("exfiltrated")
    newest = visit.page.locator("#timeline .name.newest")
    expect(newest).to_have_text("gen 1")
    visit.run("lost-answer")
    expect(newest).to_have_text("gen 3")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_there_and_shows_something(name: str) -> None:
    assert_it_shows_something(IMAGES / name)


@pytest.mark.parametrize("name", PICTURES)
def test_a_reader_is_shown_it(name: str) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert any(f"images/{name})" in page.read_text() for page in pages)


def assert_it_shows_something(path: Path) -> None:
    width, height, shades = seen(path)
    assert (width, height) == (WIDTH, HEIGHT)
    assert shades > 30
    assert path.stat().st_size <= LARGEST


def seen(path: Path) -> tuple[int, int, int]:
    """Width, height, and how many different octets the picture's lines are made of."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    place, packed, width, height = 8, b"", 0, 0
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
        packed += body if kind == b"IDAT" else b""
        place += 12 + length
    return width, height, len(set(zlib.decompress(packed)))
