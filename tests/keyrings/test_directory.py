"""A directory of keys: private, whole at every moment, one ring for all processes, and never a reason to sign out."""

import errno
import json
import logging
import os
import shutil
import stat
import subprocess
import sys
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keyturn._ring import LEAD, TAIL
from keyturn.errors import ConfigurationError
from keyturn.keyrings import _files, open as open_keys
from keyturn.keyrings.directory import DirectoryKeys
from keyturn.keyrings.static import StaticKeys
from keyturn.keys import new_ring
from keyturn.testing.clock import ManualClock
from keyturn.testing.entropy import CountingEntropy

ROOT = Path(__file__).parent.parent.parent
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0)


@pytest.fixture
def source(path: Path, clock: ManualClock) -> DirectoryKeys:
    return DirectoryKeys(path, clock=clock, entropy=CountingEntropy())


def key_files(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir() if not each.name.startswith("."))


def a_file(path: Path, purpose: str) -> Path:
    return next(path.glob(f"{purpose}-*"))


def fault_of(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        DirectoryKeys(path)
    return "\n".join(caught.value.faults)


def run(program: str, *arguments: object) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.keyrings.{program}", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -- Making a ring


@pytest.mark.parametrize("there", ["nothing", "an empty directory", "parents missing"])
def test_where_there_is_nothing_fresh_keys_are_made(tmp_path: Path, there: str):
    path = tmp_path / ("a/b/keys" if there == "parents missing" else "keys")
    if there == "an empty directory":
        path.mkdir(mode=0o755)
    source = DirectoryKeys(path, algorithm="Ed25519")
    now = datetime.now(UTC)
    assert source.ring.signing(now).algorithm == "Ed25519"
    assert source.ring.sealing(now).id == "0"
    assert DirectoryKeys(path).ring == source.ring
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.ids("KEY-08")
@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_every_file_is_its_owners_alone_and_so_is_the_directory(path: Path, umask: int):
    before = os.umask(umask)
    try:
        DirectoryKeys(path).rotate("access")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.iterdir()} == {0o600}


@pytest.mark.ids("KEY-03")
def test_eight_processes_at_once_make_one_ring(tmp_path: Path):
    for found in run("together", tmp_path, 12):
        assert len(found["seen"]) == 8
        assert len({tuple(ids) for ids in found["seen"]}) == 1, found["seen"]
        assert [name.partition("-")[0] for name in found["files"]] == [".lock", "access", "refresh"]


@pytest.mark.parametrize("act", ["make", "rotate access", "rotate refresh", "remove access", "remove refresh"])
def test_a_kill_at_any_moment_leaves_a_ring_that_signs(tmp_path: Path, act: str):
    kills = run("killed", tmp_path, act)
    assert len(kills) > 15
    assert [each for each in kills if "error" in each] == []
    assert [each["done"] for each in kills] == [False] * (len(kills) - 1) + [True]
    assert all(len(each["signs"]) == 2 for each in kills)
    assert any(each["left"] for each in kills), "some kills fall between writing and renaming"
    assert not any(each["left_later"] for each in kills), "and the next writer cleans up"
    if act.startswith("rotate"):
        assert all(set(each["before"]) <= set(each["after"]) for each in kills), "no key is ever lost"


def test_a_making_that_was_cut_short_is_completed_with_the_refresh_key_that_is_there(source: DirectoryKeys, path: Path):
    a_file(path, "access").unlink()
    again = DirectoryKeys(path)
    assert again.ring.sealing(T0) == source.ring.sealing(T0)
    assert again.ring.signing(T0) != source.ring.signing(T0)


def test_a_lost_refresh_key_refuses_to_start(source: DirectoryKeys, path: Path):
    a_file(path, "refresh").unlink()
    assert "signs everybody out" in fault_of(path)
    assert len(key_files(path)) == 1


# -- Reading


@pytest.mark.ids("KEY-08")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o610, 0o601, 0o666])
@pytest.mark.parametrize("purpose", ["access", "refresh"])
def test_a_file_that_others_may_read_or_change_refuses_to_start_and_says_how_to_close_it(
    source: DirectoryKeys, path: Path, mode: int, purpose: str
):
    file = a_file(path, purpose)
    file.chmod(mode)
    assert f"(mode {mode:o}): run `chmod 600 {file}`" in fault_of(path)
    file.chmod(0o600)
    assert DirectoryKeys(path).ring == source.ring


@pytest.mark.ids("KEY-08")
def test_a_hidden_file_that_others_may_read_refuses_too(source: DirectoryKeys, path: Path):
    swap = path / ".access.json.swp"
    swap.write_text("")
    swap.chmod(0o644)
    assert f"chmod 600 {swap}" in fault_of(path)


def test_the_fix_that_is_named_can_be_pasted_for_any_path(tmp_path: Path):
    path = tmp_path / "my keys; rm -rf $HOME"
    DirectoryKeys(path)
    path.chmod(0o777)
    assert f"chmod 700 '{path}'" in fault_of(path)


@pytest.mark.ids("KEY-08")
def test_all_files_that_are_too_open_are_told_at_once(source: DirectoryKeys, path: Path):
    for file in path.iterdir():
        file.chmod(0o644)
    path.chmod(0o730)
    assert len(fault_of(path).splitlines()) == 4


def test_a_directory_that_its_group_may_list_and_not_change_is_accepted(source: DirectoryKeys, path: Path):
    path.chmod(0o750)
    assert DirectoryKeys(path).ring == source.ring


@pytest.mark.ids("KEY-08")
@pytest.mark.parametrize("mode", [0o755, 0o701, 0o770, 0o777])
def test_a_directory_that_is_open_to_the_world_is_refused_with_the_remedy(source: DirectoryKeys, path: Path, mode: int):
    path.chmod(mode)
    assert "chmod 700" in fault_of(path)


def test_keys_that_nobody_may_change_are_read_without_writing(
    source: DirectoryKeys, path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = os.open

    def read_only(name, flags, *more, **named):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system")
        return real(name, flags, *more, **named)

    monkeypatch.setattr(os, "open", read_only)
    for file in path.iterdir():
        file.chmod(0o400)
    again = DirectoryKeys(path)
    assert again.ring == source.ring
    with pytest.raises(ConfigurationError, match="Read-only file system"):
        again.rotate("access")


def test_a_link_to_a_key_file_is_followed(source: DirectoryKeys, path: Path, tmp_path: Path):
    mounted = tmp_path / "mounted"
    mounted.mkdir(mode=0o700)
    for name in key_files(path):
        (mounted / name).symlink_to(path / name)
    (mounted / "..data").symlink_to(path)
    assert DirectoryKeys(mounted).ring == source.ring


@pytest.mark.parametrize("part", [0, 1, 0.5, 0.9])
@pytest.mark.parametrize("purpose", ["access", "refresh"])
def test_a_half_written_file_refuses_to_start_and_is_named(
    source: DirectoryKeys, path: Path, purpose: str, part: float
):
    file = a_file(path, purpose)
    text = file.read_bytes()
    file.write_bytes(text[: int(len(text) * part)] if part < 1 else text[:-2])
    assert fault_of(path) == f"{file}: it is not a key, or was not written to its end."


def test_what_is_no_key_file_refuses_to_start_and_is_named(source: DirectoryKeys, path: Path):
    old = os.umask(0o077)
    try:
        (path / "README").write_text("Keys live here.")
        (path / "old").mkdir()
        (path / "nowhere").symlink_to(path / "gone")
        (path / "long.json").write_bytes(b" " * 70000)
        os.mkfifo(path / "pipe")
    finally:
        os.umask(old)
    told = fault_of(path)
    for name in ("old is not a key file", "nowhere leads nowhere", "long.json is too long", "pipe is not a key file"):
        assert f"{path}/{name}" in told
    for name in ("old", "nowhere", "long.json", "pipe"):
        shutil.rmtree(path / name) if name == "old" else (path / name).unlink()
    assert fault_of(path) == f"{path}/README: it is not a key, or was not written to its end."


@pytest.mark.ids("TOK-16")
def test_a_copy_of_a_key_file_is_a_key_twice(source: DirectoryKeys, path: Path):
    file = a_file(path, "refresh")
    shutil.copy(file, path / "refresh-0 (copy).json")
    assert "Key id 0 is there twice." in fault_of(path)


def test_files_of_a_killed_writer_are_ignored_and_cleaned_up_by_the_next(source: DirectoryKeys, path: Path):
    left = path / f"{_files.UNFINISHED}4711-access-x.json"
    left.write_text('{"kty": "EC", "d"')
    left.chmod(0o600)
    assert DirectoryKeys(path).ring == source.ring
    assert left.exists()
    source.rotate("access")
    assert not left.exists()


def test_a_file_that_goes_while_the_directory_is_read_makes_it_be_read_again(
    source: DirectoryKeys, path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = DirectoryKeys(path)
    old = source.ring.signing(T0)
    read, changed = _files._read, []

    def read_late(file: Path):
        if not changed:
            changed.append(True)
            other.remove(old.id)
        return read(file)

    monkeypatch.setattr(_files, "_read", read_late)
    assert source.reload() == other.ring
    assert source.trouble is None


# -- Changing


@pytest.mark.ids("KEY-03")
def test_a_rotation_is_seen_by_another_process_and_takes_over_by_the_clock(
    source: DirectoryKeys, path: Path, clock: ManualClock
):
    other = DirectoryKeys(path, clock=clock)
    old = source.ring.signing(T0)
    source.rotate("access")
    source.rotate("refresh")
    assert other.ring.verifying(T0) == (old,)
    assert other.reload() == source.ring
    assert len(other.ring.verifying(T0)) == 2
    assert other.ring.signing(T0).id == old.id
    assert other.ring.signing(T0 + LEAD["access"]).id != old.id
    assert other.ring.sealing(T0 + LEAD["refresh"]).id == "1"


def test_a_rotation_deletes_the_files_of_keys_that_are_of_no_more_use(
    source: DirectoryKeys, path: Path, clock: ManualClock
):
    first = a_file(path, "access").name
    source.rotate("access")
    clock.advance(LEAD["access"] + TAIL["access"] - timedelta(seconds=1))
    source.rotate("access")
    assert first in key_files(path)
    clock.advance(timedelta(seconds=1))
    source.rotate("access")
    assert first not in key_files(path)


@pytest.mark.ids("KEY-04")
def test_a_removed_access_key_is_gone_here_at_once_and_elsewhere_with_the_next_look(
    source: DirectoryKeys, path: Path, clock: ManualClock
):
    other = DirectoryKeys(path, clock=clock)
    old = source.ring.signing(T0)
    source.remove(old.id)
    assert source.ring.state(old, T0) == "removed"
    assert other.ring.state(old, T0) == "current"
    other.reload()
    assert other.ring.state(old, T0) == "removed"
    assert other.ring.signing(T0) == source.ring.signing(T0)
    assert not any(old.id in each.name for each in path.iterdir())


@pytest.mark.ids("KEY-04")
def test_a_removed_refresh_key_leaves_no_secret_on_disk(source: DirectoryKeys, path: Path, clock: ManualClock):
    secret = json.loads(a_file(path, "refresh").read_text())["k"]
    source.remove("0")
    assert not any(secret in each.read_text() for each in path.iterdir())
    assert DirectoryKeys(path).ring.spent[0].id == "0"
    assert DirectoryKeys(path).ring.refresh_key(0, T0) is None


@pytest.mark.ids("KEY-04")
def test_to_delete_the_file_of_a_key_removes_it_too(source: DirectoryKeys, path: Path, clock: ManualClock):
    source.rotate("access")
    clock.advance(LEAD["access"])
    current = source.ring.signing(clock())
    (path / f"access-{current.id}.json").unlink()
    assert source.reload().state(current, clock()) == "removed"
    assert source.ring.signing(clock()).verifies_until is None


def test_what_cannot_be_done_leaves_the_directory_as_it_was(source: DirectoryKeys, path: Path):
    before = {each.name: each.read_bytes() for each in path.iterdir()}
    with pytest.raises(ConfigurationError, match="No key with this id"):
        source.remove("99")
    assert {each.name: each.read_bytes() for each in path.iterdir()} == before


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open"])
@pytest.mark.parametrize("act", ["make", "rotate access", "rotate refresh", "remove access"])
def test_a_full_disk_is_told_and_nothing_is_half_done(
    path: Path, clock: ManualClock, call: str, act: str, monkeypatch: pytest.MonkeyPatch
):
    made = None if act == "make" else DirectoryKeys(path, clock=clock)
    before = key_files(path) if made else []
    calls = 0
    real = getattr(os, call)
    # In the middle: the second file of a making, the first of everything else.
    fails_at = {"make": 3, "remove access": 1}.get(act, 1) if call == "fsync" else {"make": 2}.get(act, 1)

    def full(*arguments, **named):
        nonlocal calls
        writes = call != "open" or (isinstance(arguments[0], Path) and ".unfinished" in arguments[0].name)
        calls += writes
        if writes and calls == fails_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **named)

    monkeypatch.setattr(os, call, full)
    acts = {
        "make": lambda: DirectoryKeys(path, clock=clock),
        "rotate access": lambda: made.rotate("access"),
        "rotate refresh": lambda: made.rotate("refresh"),
        "remove access": lambda: made.remove(made.ring.signing(T0).id),
    }
    with pytest.raises(ConfigurationError, match=f"{path} cannot be used: No space left on device"):
        acts[act]()
    monkeypatch.undo()
    assert key_files(path) == before
    assert [each for each in path.iterdir() if each.name.startswith(_files.UNFINISHED)] == []


@pytest.mark.parametrize("where", ["keys", "keys/deeper"])
def test_a_path_that_is_a_file_is_refused(tmp_path: Path, where: str):
    (tmp_path / "keys").write_text("")
    assert "is not a directory" in fault_of(tmp_path / where)


@pytest.mark.parametrize("call", ["mkdir", "open", "iterdir"])
def test_a_place_that_may_not_be_used_is_told_by_name(path: Path, call: str, monkeypatch: pytest.MonkeyPatch):
    def denied(*arguments, **named):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path if call == "iterdir" else os, call, denied)
    assert fault_of(path.parent if call == "iterdir" else path).endswith("cannot be used: Permission denied.")


# -- Looking again


def test_a_look_that_finds_nothing_new_gives_the_same_ring(source: DirectoryKeys, path: Path):
    ring = source.ring
    a_file(path, "access").touch()
    assert source.reload() is ring
    source.rotate("access")
    assert source.reload() is source.ring is not ring


VANISHED = {
    "the directory": shutil.rmtree,
    "all files": lambda path: [each.unlink() for each in path.iterdir()],
    "the refresh keys": lambda path: a_file(path, "refresh").unlink(),
    "the access keys": lambda path: a_file(path, "access").unlink(),
    "half a file": lambda path: a_file(path, "access").write_text('{"kty":'),
    "privacy": lambda path: a_file(path, "access").chmod(0o644),
    "its place": lambda path: (shutil.rmtree(path), path.write_text("")),
}


@pytest.mark.parametrize("what", VANISHED)
def test_a_running_process_keeps_its_ring_whatever_becomes_of_the_directory(
    source: DirectoryKeys, path: Path, what: str, caplog: pytest.LogCaptureFixture
):
    ring = source.ring
    VANISHED[what](path)
    for _ in range(3):
        assert source.reload() is source.ring is ring
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("keyturn.keys", logging.ERROR)
    assert str(path) in record.getMessage()
    assert source.trouble is not None
    with pytest.raises(ConfigurationError):
        source.read()


def test_trouble_ends_when_the_directory_is_mended(source: DirectoryKeys, path: Path, tmp_path: Path):
    path.rename(tmp_path / "away")
    source.reload()
    assert source.trouble
    (tmp_path / "away").rename(path)
    source.reload()
    assert source.trouble is None
    assert source.read() is source.ring


def test_a_rotation_does_not_begin_anew_where_the_directory_is_gone(source: DirectoryKeys, path: Path):
    shutil.rmtree(path)
    with pytest.raises(ConfigurationError, match="No such file"):
        source.rotate("access")
    assert not path.exists()


@pytest.mark.ids("KEY-06")
@pytest.mark.parametrize("fault", ["text", "kid", "x", "mode", "disk"])
def test_no_log_representation_or_traceback_shows_a_secret(
    source: DirectoryKeys, path: Path, fault: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    source.rotate("access")
    secrets = [
        json.loads(a_file(path, purpose).read_text())[name] for purpose, name in (("access", "d"), ("refresh", "k"))
    ]
    file = a_file(path, "access")
    if fault == "mode":
        file.chmod(0o644)
    elif fault == "disk":
        monkeypatch.setattr(os, "fsync", lambda opened: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
    else:
        text = file.read_text()
        file.write_text(text[:-9] if fault == "text" else json.dumps({**json.loads(text), fault: "AA"}))
    try:
        source.rotate("refresh") if fault == "disk" else DirectoryKeys(path)
    except ConfigurationError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    ours = shown.split("keyrings/directory.py", 1)[1]  # the frame before is this test's, which knows the secrets
    source.reload()
    assert "self = DirectoryKeys(" in ours
    assert not any(secret in ours + caplog.text + repr(source) + str(source.ring) for secret in secrets)


# -- What an application may name


def test_a_path_a_ring_and_a_source_are_all_opened(path: Path):
    ring = new_ring(now=T0, entropy=CountingEntropy())
    assert open_keys(ring).ring is ring
    static = StaticKeys(ring)
    assert open_keys(static) is static
    for named in (path, str(path)):
        opened = open_keys(named, algorithm="Ed25519", clock=lambda: T0, entropy=CountingEntropy())
        assert opened.ring.signing(T0).algorithm == "Ed25519"
        assert opened.ring.signing(T0).created_at == T0
    assert opened.ring == open_keys(path).ring
