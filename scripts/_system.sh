# What the tests need besides Python: Debian packages, installed only where that is wanted. Sourced by scripts/setup.

say()  { echo "keyturn: $*"; }
fail() { echo "keyturn: $*" >&2; exit 1; }

may_install() { [ "${CI:-}" = true ] || [ "${KEYTURN_SETUP:-}" = 1 ]; }

debian_install() {
    command -v apt-get >/dev/null || fail "needs the programs of the Debian packages $*, and this system has no apt-get"
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    say "installing the Debian packages $*"
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The programs that tests ask for with need(…): a browser for the pages, node and npm for the page on another port.
system_programs() {
    local missing=()
    command -v chromium >/dev/null || missing+=(chromium)
    command -v node     >/dev/null || missing+=(nodejs)
    command -v npm      >/dev/null || missing+=(npm)
    command -v curl     >/dev/null || missing+=(curl)
    command -v git      >/dev/null || missing+=(git)
    [ ${#missing[@]} = 0 ] && return
    if may_install; then debian_install "${missing[@]}"
    else say "without ${missing[*]} some tests are skipped; KEYTURN_SETUP=1 installs what is missing"; fi
}
