"""The browser client without a browser: its rules in Node, its types by TypeScript, its size, and its package."""

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.browser.packages import node_modules

HERE = Path(__file__).parent
CLIENT = Path(__file__).parents[2] / "src" / "keyturn" / "client"
TYPESCRIPT = json.dumps({"devDependencies": {"typescript": "5.9.3"}})
OPTIONS = "--allowJs --strict --target es2023 --lib es2023,dom,dom.iterable --module nodenext --pretty false".split()
#: What a page's script imports, and what that names; the rest is our own business.
DECLARED = ["client.d.ts"]


def node(need: Callable[[str], str], name: str) -> None:
    done = run([need("node"), "--test", "--test-reporter=tap", str(HERE / f"{name}.test.mjs")])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert "\n# skipped 0\n# todo 0\n" in done.stdout
    ran = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert ran is not None
    assert int(ran[1]) > 9, done.stdout


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=110, check=False)


@pytest.mark.ids("BC-02", "M50")
def test_there_is_one_refresh_at_a_time_in_all_tabs(need: Callable[[str], str]) -> None:
    node(need, "one_refresh")


@pytest.mark.ids("BC-04")
def test_trouble_keeps_the_session_and_makes_no_loops(need: Callable[[str], str]) -> None:
    node(need, "trouble")


@pytest.mark.ids("BC-03", "BC-04", "BC-06")
def test_calls_carry_the_token_where_it_may_go_and_are_repeated_once(need: Callable[[str], str]) -> None:
    node(need, "calls")


@pytest.mark.ids("BC-07", "SE-10")
def test_sign_in_and_sign_out_reach_all_tabs(need: Callable[[str], str]) -> None:
    node(need, "sign_out")


@pytest.mark.ids("BC-01", "BC-05", "BC-06")
def test_time_is_measured_without_a_clock_and_nothing_is_left_behind(need: Callable[[str], str]) -> None:
    node(need, "time")


# --- types, size, package ------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The code without its declarations, which the compiler would believe in its place."""
    folder = tmp_path / "source"
    folder.mkdir()
    for path in [*CLIENT.glob("*.js"), CLIENT / "client-types.d.ts"]:
        shutil.copy(path, folder)
    shutil.copy(CLIENT / "package.json", folder)
    return folder


@pytest.fixture(scope="module")
def tsc(need: Callable[[str], str]) -> list[str]:
    """The compiler, with the options that all of it is judged by."""
    compiler = node_modules(TYPESCRIPT, need) / "typescript" / "bin" / "tsc"
    return [need("node"), str(compiler), *OPTIONS]


@pytest.mark.ids("BC-06")
def test_the_types_hold_and_the_declarations_are_those_of_the_code(
    tsc: list[str], source: Path, tmp_path: Path
) -> None:
    emit = ["--checkJs", "--declaration", "--emitDeclarationOnly", "--outDir", str(tmp_path)]
    done = run([*tsc, *emit, str(source / "client.js")])
    assert done.stdout == ""
    assert done.returncode == 0
    for name in DECLARED:
        assert (CLIENT / name).read_text() == (tmp_path / name).read_text(), f"make {name} anew: tsc {' '.join(emit)}"


def test_a_program_in_typescript_can_use_it(tsc: list[str], tmp_path: Path) -> None:
    program = tmp_path / "program.mts"
    program.write_text(
        f"""
        import {{ createClient, KeyturnError }} from "{CLIENT}/client.js";
        const client = createClient({{ baseUrl: "/auth" }});
        const off: () => void = client.on("expired", ({{ code }}) => code.length);
        const answer: Response = await client.fetch("/me");
        const {{ sessionId }}: {{ sessionId: string }} = await client.login({{ username: "a", password: "b" }});
        const seconds: number | undefined = new KeyturnError("network").retryAfter;
        // @ts-expect-error there is no such event
        client.on("signedin", () => {{}});
        // @ts-expect-error nobody may change it
        client.state = "signed-in";
        """
    )
    done = run([*tsc, "--noEmit", str(program)])
    assert done.stdout == ""


def test_it_is_small(tsc: list[str], source: Path, tmp_path: Path) -> None:
    script = source / "client.js"
    served = script.read_text()
    script.write_text(bare := without_comments(served))
    again = [*tsc, "--removeComments", "--outDir"]
    assert run([*again, str(tmp_path / "bare"), str(script)]).returncode == 0
    script.write_text(served)
    assert run([*again, str(tmp_path / "whole"), str(script)]).returncode == 0
    assert (tmp_path / "bare" / "client.js").read_text() == (tmp_path / "whole" / "client.js").read_text()
    assert zipped(bare) <= 5000
    assert zipped(served) <= 8000
    assert [path.name for path in CLIENT.glob("*.js")] == ["client.js"]


def without_comments(code: str) -> str:
    """The code without its comments, and without the white space before lines, which stands there for readers too."""
    code = re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL)
    code = re.sub(r"(^|\s)// .*$", "", code, flags=re.MULTILINE)
    return "\n".join(line for line in map(str.strip, code.splitlines()) if line)


def zipped(text: str) -> int:
    return len(gzip.compress(text.encode(), 9))


def test_the_package_is_of_the_same_version_and_needs_nothing() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    assert (package["name"], package["version"], package["license"]) == ("keyturn", version("keyturn"), "MIT")
    assert (package["type"], package["sideEffects"]) == ("module", False)
    assert not {"dependencies", "peerDependencies", "scripts", "bin"} & package.keys()


def test_node_finds_the_package_by_its_name(need: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "keyturn").symlink_to(CLIENT, target_is_directory=True)
    (tmp_path / "program.mjs").write_text(
        'import { createClient, KeyturnError } from "keyturn"; console.log(typeof createClient, typeof KeyturnError);'
    )
    assert run([need("node"), str(tmp_path / "program.mjs")]).stdout == "function function\n"


def test_the_package_holds_every_file_that_its_code_and_its_types_name() -> None:
    texts = [path.read_text() for path in [*CLIENT.glob("*.js"), *(CLIENT / name for name in DECLARED)]]
    imported = re.compile(r"^(?:import|export)\b.* from ['\"]\./([\w-]+)\.js['\"]", re.MULTILINE)
    named = {name for text in texts for name in imported.findall(text)}
    assert named == {path.name.partition(".")[0] for path in CLIENT.iterdir()} - {"client", "package"}
