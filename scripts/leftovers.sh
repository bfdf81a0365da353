#!/usr/bin/env bash
# leftovers.sh list|kill REPOSITORY TMP: finds processes that run a program from the repository or from the temporary
# folder, or that a host has started, and files left in the temporary folder. list fails when there are any.
set -euo pipefail
what=$1 repository=$2 tmp=$3
found=0
for proc in /proc/[0-9]*; do
  pid=${proc#/proc/}
  exe=$(readlink "$proc/exe" 2>/dev/null) || continue
  case $exe in
  "$repository"/* | "$tmp"/*) ;;
  *) tr '\0' '\n' <"$proc/environ" 2>/dev/null | grep -q '^SKALDS_PLUGIN=\|^SKALDS_LAUNCH' || continue ;;
  esac
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "$proc/status" 2>/dev/null) || continue
  [[ $state != Z ]] || continue
  found=1
  printf 'left running: %s %s\n' "$pid" "$(tr '\0' ' ' <"$proc/cmdline" 2>/dev/null || true)"
  [[ $what != kill ]] || kill -KILL "$pid" 2>/dev/null || true
done
for f in "$tmp"/* "$tmp"/.[!.]*; do
  [[ -e $f || -L $f ]] || continue
  found=1
  echo "left behind: $f"
done
exit $found
