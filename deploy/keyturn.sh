#!/bin/sh
# /usr/local/sbin/keyturn: the command line for root, as the server's user and with what the server is told.
set -eu
set -a
if [ -e /etc/keyturn/environment ]; then . /etc/keyturn/environment; fi
KEYTURN_CONFIG=/var/lib/keyturn/keyturn.toml
cd /var/lib/keyturn
umask 077
exec setpriv --reuid keyturn --regid keyturn --clear-groups /opt/keyturn/bin/keyturn "$@"
