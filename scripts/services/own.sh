# Sourced by scripts that run something against real services.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$here/services/ports.sh"

# address FILE NAME: what start-services.sh has printed to a file under a name.
address() { sed -n "s/^$2=//p" "$1"; }

# own_services CALLER: starts services on free ports, in a folder that is thrown away, and tells people, and tests by SKALDS_TEST_KAFKA,
# SKALDS_TEST_REDIS and SKALDS_TEST_MONGO, where they are. They end with the script. What start-services.sh takes from the environment
# counts here, too.
own_services() {
  local begun=$SECONDS first
  own_work=$(mktemp -d)
  trap end_own_services EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  first=$(free_port)
  export SERVICES_RUN=${SERVICES_RUN:-$own_work/services}
  export KAFKA_PORT=${KAFKA_PORT:-$first} REDIS_PORT=${REDIS_PORT:-$((first + 4))} MONGO_PORT=${MONGO_PORT:-$((first + 7))}
  "$here/start-services.sh" >"$own_work/addresses"
  echo "$1: services are there after $((SECONDS - begun)) s"
  cat "$own_work/addresses"
  SKALDS_TEST_KAFKA=$(address "$own_work/addresses" KAFKA_BROKERS)
  SKALDS_TEST_REDIS=$(address "$own_work/addresses" REDIS_ADDR)
  SKALDS_TEST_MONGO=$(address "$own_work/addresses" MONGO_URI)
  export SKALDS_TEST_KAFKA SKALDS_TEST_REDIS SKALDS_TEST_MONGO
}

end_own_services() {
  local code=$?
  "$here/stop-services.sh" --wipe || true
  rm -rf "$own_work"
  exit "$code"
}
