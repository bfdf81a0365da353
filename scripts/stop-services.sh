#!/usr/bin/env bash
# stop-services.sh [--wipe] [kafka] [redis] [mongo] [kafka-2]…: ends what start-services.sh has started with the same KAFKA_PORT or
# SERVICES_RUN (and KAFKA_NODES), by the recorded process ids; without names all three. --wipe also removes their data.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/services/settings.sh"
. "$here/services/process.sh"
wipe= named=()
for a in "$@"; do
  if [[ $a == --wipe ]]; then wipe=1; else named+=("$a"); fi
done
wanted=(${named[@]+"${named[@]}"})
((${#named[@]} > 0)) || wanted=("${all_services[@]}")

[[ -d $SERVICES_RUN ]] || exit 0
[[ -O $SERVICES_RUN ]] || { note "$SERVICES_RUN belongs to somebody else"; exit 1; }
names=()
for s in "${wanted[@]}"; do
  several=$(instances "$s")
  mapfile -t -O "${#names[@]}" names <<<"$several"
done
for n in "${names[@]}"; do end "$n" & done
wait
[[ -n $wipe ]] || exit 0
if ((${#named[@]} == 0)); then
  rm -rf -- "$SERVICES_RUN"
else
  for n in "${names[@]}"; do rm -rf -- "${SERVICES_RUN:?}/$n" "$SERVICES_RUN/$n.user" "$SERVICES_RUN/$n.id"; done
fi
