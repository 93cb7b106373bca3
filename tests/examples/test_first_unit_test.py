"""The first unit test that a user writes passes as it stands, in a folder that has nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_first_unit_test_passes_beside_the_quickstart(tmp_path: Path) -> None:
    for name in ("quickstart_fastapi.py", "test_quickstart.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_quickstart.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / "app.db").exists(), "a test that overrides the store wrote into the application's own"
