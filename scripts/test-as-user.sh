#!/usr/bin/env bash
# test-as-user.sh UID PACKAGE…: compiles the tests of packages and runs them as another user, who owns nothing here and has no
# privileges. Needs root. FLAGS are added to the tests' own; they start in the folder of their package, as go test has it.
set -euo pipefail
uid=$1
shift
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
chmod 0711 "$tmp"
install -d -m 0700 -o "$uid" -g "$uid" "$tmp/home" "$tmp/tmp"
failed=0
for package in "$@"; do
  dir=$(go list -f '{{.Dir}}' "$package")
  go test -c -o "$tmp/tests" "$package"
  chmod 0755 "$tmp/tests"
  begun=$SECONDS
  # shellcheck disable=SC2086 # flags are words
  if (cd "$dir" && setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all --bounding-set=-all \
    env HOME="$tmp/home" TMPDIR="$tmp/tmp" XDG_RUNTIME_DIR="$tmp/tmp" GOCACHE="$tmp/home/go" "$tmp/tests" -test.timeout=10m ${FLAGS:-}); then
    echo "ok $package as user $uid, $((SECONDS - begun)) s"
  else
    echo "FAILED $package as user $uid"
    failed=1
  fi
done
exit "$failed"
