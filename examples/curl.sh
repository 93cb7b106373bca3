#!/bin/sh
# Sign in and call from a shell, against a quickstart application: ./curl.sh [ADDRESS]
# Every line works as pasted, too; without a quickstart, ADDRESS and the user are yours.
set -eu
ADDRESS=${1:-http://localhost:8000}

# The short way, as programs do: name and password for tokens in the body.
TOKEN=$(curl -sSf -X POST -u ada:lovelace "$ADDRESS/auth/login" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl -sSf -H "Authorization: Bearer $TOKEN" "$ADDRESS/me"
echo

# The way of browsers: the refresh token and the binding live in cookies, kept in a jar here. The header Keyturn-Client
# says that this is a program, not a page that somebody was lured to.
JAR=$(mktemp)
trap 'rm -f "$JAR"' EXIT
TOKEN=$(curl -sSf -c "$JAR" -H 'Keyturn-Client: curl' -H 'Content-Type: application/json' \
    -d '{"username": "ada", "password": "lovelace"}' "$ADDRESS/auth/login" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl -sSf -b "$JAR" -H "Authorization: Bearer $TOKEN" "$ADDRESS/me"
echo

# Turn the key, and sign out: the access token is dead at once.
TOKEN=$(curl -sSf -b "$JAR" -c "$JAR" -H 'Keyturn-Client: curl' -X POST "$ADDRESS/auth/refresh" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl -sSf -b "$JAR" -H "Authorization: Bearer $TOKEN" "$ADDRESS/auth/sessions"
echo
cp "$JAR" "$JAR.before"
trap 'rm -f "$JAR" "$JAR.before"' EXIT
curl -sSf -b "$JAR" -c "$JAR" -H 'Keyturn-Client: curl' -X POST -o /dev/null -w '%{http_code}\n' "$ADDRESS/auth/logout"
curl -s -b "$JAR.before" -H "Authorization: Bearer $TOKEN" -o /dev/null -w '%{http_code}\n' "$ADDRESS/me"
