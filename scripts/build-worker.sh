#!/usr/bin/env bash
# build-worker.sh MODULE PLUGINS: compiles a worker as its author would, outside the workspace, and installs it as
# PLUGINS/<name>/<version>/<name>. Name and version are what the worker says of itself.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
module=$1 plugins=$2
mkdir -p bin/.build
built=$PWD/bin/.build/$(basename "$module")
(cd "$module" && GOWORK=off CGO_ENABLED=0 go build -trimpath -o "$built" .)
described=$("$built" describe)
field() { sed -n "s/^  \"$1\": \"\([^\"]*\)\",*\$/\1/p" <<<"$described"; }
name=$(field name) version=$(field version)
if [[ -z $name || -z $version ]]; then
  echo "$module: \`describe\` tells no name or no version" >&2
  exit 1
fi
"$here/install-file.sh" "$built" "$plugins/$name/$version/$name" 0555
