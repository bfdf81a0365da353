#!/usr/bin/env bash
# Says what is missing before anything is compiled. Prints nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
faults=0
fault() { echo "make: $*" >&2; faults=1; }

# The lowest Go version stands in go.mod and nowhere else.
want=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)

command -v git >/dev/null || fault "git is missing: install it (Debian and Ubuntu: apt-get install git)"
if ! command -v go >/dev/null; then
  fault "Go is missing: install Go $want or newer from https://go.dev/dl/ and put it on the PATH"
else
  # Asked here, a Go that may fetch newer ones (GOTOOLCHAIN=auto) answers for the one that it will use.
  if ! have=$(go env GOVERSION 2>&1); then
    fault "Go $want or newer is needed, this one says: $have"
  elif [[ ! $have =~ go([0-9]+)\.([0-9]+) ]]; then
    fault "Go $want or newer is needed, this one calls itself \"$have\""
  elif ((BASH_REMATCH[1] * 1000 + BASH_REMATCH[2] < ${want%.*} * 1000 + ${want#*.})); then
    fault "Go $want or newer is needed, found $have ($(command -v go)): install it from https://go.dev/dl/"
  fi
fi
exit $faults
