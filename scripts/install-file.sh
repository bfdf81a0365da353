#!/usr/bin/env bash
# install-file.sh FROM TO MODE: puts a file in its place by a rename, so that a program that runs from there goes on with
# the file it was started from. A file that is already the same is left alone, with its identity and times.
set -euo pipefail
from=$1 to=$2 mode=$3
if cmp -s "$from" "$to"; then
  chmod "$mode" "$to"
  exit
fi
mkdir -p "$(dirname "$to")"
new=$(dirname "$to")/.$(basename "$to").$$
trap 'rm -f "$new"' EXIT
cp "$from" "$new"
chmod "$mode" "$new"
mv -f "$new" "$to"
echo "installed $to"
