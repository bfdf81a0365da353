#!/usr/bin/env bash
# install-tool.sh PACKAGE VERSION FILE: builds a Go program and leaves it as FILE, whose name carries the version, so that
# another version is another file.
set -euo pipefail
package=$1 version=$2 file=$3
mkdir -p "$(dirname "$file")"
dir=$(mktemp -d "$PWD/$(dirname "$file")/new.XXXXXX")
trap 'rm -rf "$dir"' EXIT
GOWORK=off GOFLAGS= GOBIN="$dir" go install "$package@$version"
mv "$dir"/* "$file"
