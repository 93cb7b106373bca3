# Which Python, and a virtual environment from it. Sourced by scripts/setup.

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
# Where an interpreter really is: not a shim of pyenv, and not the environment that happens to be active.
real_path() { "$1" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))'; }

# The one asked for, else the one that .venv was made with, else python3.
usual_python() {
    local made_with found
    made_with=$(cat .venv/.python 2>/dev/null) && command -v "$made_with" >/dev/null || made_with=python3
    found=${PYTHON:-$made_with}
    command -v "$found" >/dev/null || fail "needs Python 3.11 or newer, and there is no $found here"
    is_new_enough "$found" || fail "needs Python 3.11 or newer, and $found is $("$found" -V 2>&1); name another with PYTHON=…"
    real_path "$found"
}

# The newest of the newer ones, from the path or from pyenv (whose shims stand on the path and do not run).
newer_python() {
    local version found
    for version in 3.14 3.13 3.12; do
        for found in "${PYTHON_NEWER:-python$version}" "$(pyenv_python "$version")"; do
            if [ -n "$found" ] && "$found" -c 'import venv' 2>/dev/null; then real_path "$found"; return; fi
        done
    done
    fail "found no Python newer than 3.11 on the path; name one with PYTHON_NEWER=…"
}

pyenv_python() {
    command -v pyenv >/dev/null || return 0
    local name
    name=$(pyenv versions --bare | grep -E "^$1\.[0-9]+$" | tail -n 1) || return 0
    echo "$(pyenv prefix "$name")/bin/python"
}

# Debian ships Python without the part that makes environments; three ways round it, the plainest first.
make_venv() {
    local python=$1 venv=$2
    rm -rf "$venv"
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null && may_install; then debian_install python3-venv; fi
    if "$python" -c 'import venv, ensurepip' 2>/dev/null; then "$python" -m venv "$venv"
    elif command -v uv >/dev/null; then uv venv --quiet --seed --python "$python" "$venv"
    elif command -v virtualenv >/dev/null; then virtualenv --quiet --python "$python" "$venv"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install -qq --root-user-action=ignore --target .bootstrap virtualenv
        PYTHONPATH=.bootstrap "$python" -m virtualenv --quiet "$venv"
    else fail "$python cannot make virtual environments: apt-get install python3-venv, or run again with KEYTURN_SETUP=1"
    fi
}
