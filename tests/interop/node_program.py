"""A program of ``node/`` that is asked line by line."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser.packages import node_modules
from tests.interop.issuers import Issuer
from tests.support.programs import find_program

NODE = Path(__file__).parent / "node"


class Refused(Exception):  # noqa: N818 - it is what the library said
    """The library refused; with what it says of it."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told)
        self.told = told


@dataclass
class NodeProgram:
    """One that runs."""

    process: "subprocess.Popen[str]"

    def ask(self, question: str, **given: Any) -> Any:
        """Ask, and give the answer; Refused where the library throws."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"ask": question, **given}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"node ended with {self.process.wait(30)}"
        said = json.loads(line)
        if "refused" in said:
            raise Refused(said["refused"])
        return said["answer"]


@contextmanager
def node_program(folder: Path, name: str, issuer: Issuer, *arguments: str) -> Iterator[NodeProgram]:
    """Start a program of ``node/`` in a copy of that folder; without npm the test is skipped, or fails with CI=true."""
    shutil.copytree(NODE, folder, dirs_exist_ok=True)
    modules = node_modules((NODE / "package.json").read_text(), find_program)
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(modules, target_is_directory=True)
    trust = {"NODE_EXTRA_CA_CERTS": str(issuer.certificate)} if issuer.certificate else {}
    command = [find_program("node"), str(folder / f"{name}.mjs"), issuer.url, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **trust}
    ) as process:
        try:
            yield NodeProgram(process)
        finally:
            process.terminate()
