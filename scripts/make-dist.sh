#!/usr/bin/env bash
# make-dist.sh VERSION ARCH…: dist/skalds-VERSION-linux-ARCH.tar.gz for each ARCH, and dist/SHA256SUMS of all that lies there. The same
# commit makes the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1
shift
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export LC_ALL=C TZ=UTC
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p dist
for arch in "$@"; do
  name=skalds-$(scripts/package-version.sh "$version")-linux-$arch
  scripts/stage-package.sh "$arch" "$work/$name" "$version"
  tar -C "$work" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf "$work/$name.tar" "$name"
  gzip -9n <"$work/$name.tar" >"$work/$name.tar.gz"
  mv "$work/$name.tar.gz" dist/
  rm -rf "${work:?}/$name" "$work/$name.tar"
  echo "made dist/$name.tar.gz"
done
(cd dist && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs -d '\n' sha256sum) >"$work/SHA256SUMS"
mv "$work/SHA256SUMS" dist/
chmod 0644 dist/*
