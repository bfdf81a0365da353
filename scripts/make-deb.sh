#!/usr/bin/env bash
# make-deb.sh NFPM VERSION ARCH…: dist/skalds_VERSION_ARCH.deb for each ARCH. The same commit makes the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
nfpm=$1 version=$2
shift 2
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export LC_ALL=C TZ=UTC
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p dist
for arch in "$@"; do
  scripts/stage-package.sh "$arch" "$work/stage" "$version"
  VERSION=$(scripts/package-version.sh "$version") ARCH=$arch STAGE=$work/stage "$nfpm" package -f packaging/deb/nfpm.yaml -p deb -t "$work/" >/dev/null
  for made in "$work"/*.deb; do
    mv "$made" dist/
    echo "made dist/${made##*/}"
  done
done
