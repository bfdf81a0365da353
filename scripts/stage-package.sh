#!/usr/bin/env bash
# stage-package.sh ARCH FOLDER VERSION: builds what is handed out for Linux on ARCH (amd64, arm64) and lays it out in FOLDER: the program,
# the example workers as a plugins folder, units, settings, pages. The same commit and Go make the same bytes: no paths, no times, one mode
# for all files of a kind.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=$1 to=$2 version=$3
epoch=${SOURCE_DATE_EPOCH:?when the commit was made, in seconds}
umask 022
rm -rf "$to"
mkdir -p "$to/bin" "$to/examples" "$to/systemd" "$to/docs"
export CGO_ENABLED=0 GOWORK=off GOOS=linux GOFLAGS=-buildvcs=false GOAMD64=v1 GOARM64=v8.0
GOARCH=$arch go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$to/bin/skalds" ./cmd/skalds

# A worker says itself what it is called; it is asked where it can be run.
field() { sed -n "s/^  \"$1\": \"\([^\"]*\)\",*\$/\1/p" <<<"$described"; }
for module in examples/*-worker; do
  (cd "$module" && GOOS='' GOARCH='' go build -trimpath -o "$to/asked" .)
  described=$("$to/asked" describe)
  rm "$to/asked"
  name=$(field name) v=$(field version)
  [[ -n $name && -n $v ]] || { echo "$module: \`describe\` tells no name or no version" >&2; exit 1; }
  (cd "$module" && GOARCH=$arch go build -trimpath -ldflags '-s -w' -o "$to/examples/$name/$v/$name" .)
done

cp packaging/systemd/*.service "$to/systemd/"
cp packaging/deb/skalds.yml packaging/deb/skalds.env "$to/"
cp compose.yaml .env.example "$to/"
cp LICENSE THIRD_PARTY_NOTICES.md README.md CHANGELOG.md SECURITY.md skalds.example.yml "$to/"
cp docs/*.md "$to/docs/"
find "$to" -type d -exec chmod 0755 {} +
find "$to" -type f -exec chmod 0644 {} +
find "$to/bin" "$to/examples" -type f -exec chmod 0755 {} +
find "$to" -exec touch -h -d "@$epoch" {} +
