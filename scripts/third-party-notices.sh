#!/usr/bin/env bash
# Prints THIRD_PARTY_NOTICES.md: every module that is linked into bin/skalds or an example worker, on Linux or macOS, with
# its licence as it stands in the module cache. Fails on a licence that it does not know.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C GOWORK=off CGO_ENABLED=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/texts"

# linked PROGRAM FOLDER PACKAGE: lines of path, version, folder, program.
linked() {
  local goos
  for goos in linux darwin; do
    (cd "$2" && GOOS=$goos GOARCH=amd64 go list -deps -f "{{with .Module}}{{.Path}}	{{.Version}}	{{.Dir}}	$1{{end}}" "$3")
  done
}

{
  linked skalds . ./cmd/skalds
  for worker in rtsp-worker simple-worker complex-worker; do
    linked "$worker" "examples/$worker" .
  done
} | grep -v '^github.com/skalds-go/skalds[/	]' | sort -u >"$dir/linked"

# licences FILE…: the SPDX names of what the texts say.
licences() {
  local text
  text=$(cat "$@" | tr -s ' \t\r\n' ' ')
  {
    [[ $text != *"Mozilla Public License"* ]] || echo MPL-2.0
    [[ $text != *"Apache License"* ]] || echo Apache-2.0
    [[ $text != *"Permission is hereby granted, free of charge"* ]] || echo MIT
    [[ $text != *"blessing"* ]] || echo blessing
    if [[ $text == *"Redistribution and use in source and binary forms"* ]]; then
      if [[ $text == *"Neither the name"* || $text == *"endorse or promote"* ]]; then echo BSD-3-Clause; else echo BSD-2-Clause; fi
    fi
  } | paste -sd, - | sed 's/,/ and /g'
}

while IFS=$'\t' read -r path version folder; do
  files=()
  while IFS= read -r f; do files+=("$f"); done < <(find "$folder/" -maxdepth 1 -type f \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'patents*' \) | sort)
  name=$([[ ${#files[@]} == 0 ]] || licences "${files[@]}")
  [[ -n $name ]] || { echo "third-party-notices: $path@$version has no licence that this script knows" >&2; exit 1; }
  programs=$(awk -F'\t' -v p="$path" -v v="$version" '$1 == p && $2 == v { print $4 }' "$dir/linked" | sort -u | paste -sd, - | sed 's/,/, /g')
  [[ $programs != "complex-worker, rtsp-worker, simple-worker, skalds" ]] || programs=all
  printf '| %s | %s | %s | %s |\n' "$path" "$version" "$name" "$programs" >>"$dir/table"
  for f in "${files[@]}"; do
    tr -d '\r' <"$f" | sed 's/[[:space:]]*$//' >"$dir/text"
    sum=$(sha256sum "$dir/text" 2>/dev/null || shasum -a 256 "$dir/text")
    sum=${sum%% *}
    cp "$dir/text" "$dir/texts/$sum"
    echo "$sum	$path $(basename "$f")" >>"$dir/owners"
  done
done < <(cut -f1-3 "$dir/linked" | sort -u)

cat <<'HEAD'
# Third-party notices

Skalds is under the MIT licence (LICENSE). Its binaries contain the modules below. This file is made by
`scripts/third-party-notices.sh` from the module cache; `make verify` fails when it is out of date.

The Go standard library and runtime are in every binary, under the licence of `golang.org/x/sys` below.

Modules under the MPL-2.0 are used unchanged. The MPL covers their files only: whoever passes on a binary must say where
their source can be had, which is `https://<module path>` at the version in the table, and whoever changes one of these files
must publish that file under the MPL. Our files, and those of a worker that uses the SDK, keep their own licence. Workers
link go-plugin and yamux through the SDK, so this holds for whoever passes on a worker's binary, too.

| module | version | licence | linked into |
|---|---|---|---|
HEAD
cat "$dir/table"
echo
echo "## Texts"
# Equal texts stand once, in the order of their first owner.
awk -F'\t' '!seen[$1]++ { print $1 }' "$dir/owners" | while read -r sum; do
  printf '\n### '
  awk -F'\t' -v s="$sum" '$1 == s { print $2 }' "$dir/owners" | paste -sd, - | sed 's/,/, /g'
  printf '\n````text\n'
  cat "$dir/texts/$sum"
  printf '````\n'
done
