#!/usr/bin/env bash
# lend-services.sh [kafka] [redis] [mongo]: starts services as start-services.sh does, on free ports, and prints their addresses and,
# as the last line, SERVICES=what they are. It stops and removes them as soon as its standard input ends: that happens, too, when
# the program that holds the other end is killed. What start-services.sh takes from the environment counts here, too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/services/ports.sh"

work=
export SERVICES_RUN=${SERVICES_RUN:-}
if [[ -z $SERVICES_RUN ]]; then
  work=$(mktemp -d)
  SERVICES_RUN=$work/services
fi
first=$(free_port)
export KAFKA_PORT=${KAFKA_PORT:-$first} REDIS_PORT=${REDIS_PORT:-$((first + 4))} MONGO_PORT=${MONGO_PORT:-$((first + 7))}

finish() {
  local code=$?
  trap - EXIT
  trap '' INT TERM HUP PIPE
  "$here/stop-services.sh" --wipe </dev/null || true
  [[ -z $work ]] || rm -rf "$work"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
trap 'exit 141' PIPE

"$here/start-services.sh" "$@" </dev/null
. "$here/services/settings.sh"
. "$here/services/kafka.sh"
. "$here/services/redis.sh"
. "$here/services/mongo.sh"
redis=${REDIS_SERVER:-$REDIS_KIND}
[[ $redis != valkey ]] || redis="Valkey $VALKEY_WHEEL"
echo "SERVICES=Kafka $KAFKA_VERSION, $redis, SecantusDB $SECANTUS_VERSION for MongoDB"
while read -r _; do :; done
