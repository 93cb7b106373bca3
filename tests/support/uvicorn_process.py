"""An application file served by uvicorn or Flask in a process of its own, as a reader of the README would."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
TOLD_ADDRESS = re.compile(r"[Rr]unning on (http://127\.0\.0\.1:\d+)")


@contextmanager
def served_example(name: str, folder: Path) -> Iterator[str]:
    """Copy an example into an empty folder, serve it there, and give its address."""
    shutil.copy(EXAMPLES / f"{name}.py", folder)
    server = ["uvicorn", f"{name}:app", "--port", "0", "--no-access-log"]
    if name.endswith("_flask"):
        server = ["flask", "--app", name, "run", "--port", "0"]
    command = [sys.executable, "-W", "error", "-m", *server]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        said: list[str] = []
        try:
            yield address_of(process.stderr, said)
        finally:
            process.terminate()
            said += process.stderr.readlines()
    assert not [line for line in said if "Traceback" in line or "ERROR" in line], "".join(said)


def address_of(lines: Iterator[str], said: list[str]) -> str:
    """Read what the server says until it says where it listens."""
    for line in lines:
        said.append(line)
        if found := TOLD_ADDRESS.search(line):
            return found[1]
    raise AssertionError("the example did not start:\n" + "".join(said))
