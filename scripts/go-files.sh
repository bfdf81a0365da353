#!/usr/bin/env bash
# Prints all Go files written by hand, known to git or new.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files -co --exclude-standard -- '*.go' ':!:*.pb.go' | while read -r f; do [ ! -e "$f" ] || echo "$f"; done
