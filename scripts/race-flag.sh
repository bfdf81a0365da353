#!/usr/bin/env bash
# Prints -race where the race detector can be built: it needs cgo, so a C compiler with a C library. SKALDS_RACE=0 turns
# it off.
set -euo pipefail
[[ ${SKALDS_RACE:-1} != 0 && $(go env CGO_ENABLED) == 1 ]] || exit 0
read -ra cc <<<"$(go env CC)"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf '#include <stdlib.h>\n#include <pthread.h>\nint main(void) { return 0; }\n' >"$dir/probe.c"
if "${cc[@]}" -o "$dir/probe" "$dir/probe.c" >/dev/null 2>&1; then
  echo -race
fi
