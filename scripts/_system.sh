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
    without_services DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Runs a command of root's while packages may start nothing: the tests start their databases themselves, and a developer
# who installed one for them wants no server at every boot. A system's own policy is left alone.
without_services() {
    local policy=/usr/sbin/policy-rc.d status=0
    local before; before=$(enabled_services)
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
        "${as_root[@]}" chmod 755 $policy
        "${as_root[@]}" env "$@" || status=$?
        "${as_root[@]}" rm -f $policy
    else "${as_root[@]}" env "$@" || status=$?
    fi
    local service
    for service in $(enabled_services); do
        case " $before " in *" $service "*) ;; *) "${as_root[@]}" systemctl --quiet disable "$service" || true ;; esac
    done
    return $status
}

# Which of the services that the tests need start at boot.
enabled_services() {
    command -v systemctl >/dev/null || return 0
    local service
    for service in postgresql mariadb nginx; do
        if systemctl is-enabled --quiet "$service" 2>/dev/null; then echo -n "$service "; fi
    done
}

# PostgreSQL's programs stand in a folder of their version's, off the path; a server's may stand where only root looks.
has_program() { [ -n "$(PATH=$PATH:/usr/sbin type -P "$1")" ] || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null; }

# The programs that tests ask for with need(…): browsers for the pages and the tool that tells them whom to trust, node
# and npm for the page on another port, the databases that the tests start, and the proxy that the server is tried behind.
system_programs() {
    local missing=()
    command -v chromium >/dev/null || missing+=(chromium)
    command -v certutil >/dev/null || missing+=(libnss3-tools)
    command -v firefox-esr     >/dev/null || missing+=(firefox-esr)
    command -v WebKitWebDriver >/dev/null || missing+=(webkit2gtk-driver)
    command -v Xvfb            >/dev/null || missing+=(xvfb)
    command -v node     >/dev/null || missing+=(nodejs)
    command -v npm      >/dev/null || missing+=(npm)
    command -v curl     >/dev/null || missing+=(curl)
    command -v git      >/dev/null || missing+=(git)
    has_program postgres || missing+=(postgresql)
    has_program mariadbd || missing+=(mariadb-server)
    has_program nginx    || missing+=(nginx-light)
    command -v systemd-analyze >/dev/null || missing+=(systemd)
    [ ${#missing[@]} = 0 ] && return
    if may_install; then debian_install "${missing[@]}"
    else say "without ${missing[*]} some tests are skipped; KEYTURN_SETUP=1 installs what is missing"; fi
}
