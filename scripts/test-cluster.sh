#!/usr/bin/env bash
# Starts real services on free ports, runs against them the tests that need some, and stops them. What start-services.sh
# takes from the environment (KAFKA_VERSION, REDIS_KIND, …) counts here, too. TEST_FLAGS are added to go test.
set -euo pipefail
cd "$(dirname "$0")/.."

# free_port: the first of ten ports in a row that nobody listens on, below those that the system gives to clients.
free_port() {
  local try p i
  for ((try = 0; try < 50; try++)); do
    p=$((20000 + RANDOM % 1000 * 10))
    for ((i = 0; i < 10; i++)); do
      ! (echo >"/dev/tcp/127.0.0.1/$((p + i))") 2>/dev/null || continue 2
    done
    echo "$p"
    return
  done
  echo "test-cluster: no free ports" >&2
  return 1
}

work=$(mktemp -d)
export SERVICES_RUN=${SERVICES_RUN:-$work/services}
first=$(free_port)
export KAFKA_PORT=${KAFKA_PORT:-$first} REDIS_PORT=${REDIS_PORT:-$((first + 4))} MONGO_PORT=${MONGO_PORT:-$((first + 7))}

finish() {
  local code=$?
  scripts/stop-services.sh --wipe || true
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

begun=$SECONDS
# Redis 8, because Valkey's package has no TLS.
REDIS_KIND=${REDIS_KIND:-redis8} scripts/start-services.sh >"$work/addresses"
echo "test-cluster: services are there after $((SECONDS - begun)) s"
cat "$work/addresses"
address() { sed -n "s/^$1=//p" "$work/addresses"; }
export SKALDS_TEST_KAFKA SKALDS_TEST_REDIS SKALDS_TEST_MONGO
SKALDS_TEST_KAFKA=$(address KAFKA_BROKERS)
SKALDS_TEST_REDIS=$(address REDIS_ADDR)
SKALDS_TEST_MONGO=$(address MONGO_URI)
packages=(./internal/porttest)
for p in kafka redis mongo; do
  [[ ! -d internal/$p ]] || packages+=("./internal/$p")
done
export SKALDS_TEST_SERVICES=$PWD/scripts # for tests that stop, empty and freeze one of their own
begun=$SECONDS
# shellcheck disable=SC2086 # flags are words
go test -count=1 -timeout 20m ${TEST_FLAGS:-} "${packages[@]}"
# shellcheck disable=SC2086
go test -count=1 -timeout 20m ${TEST_FLAGS:-} -run 'Cluster' ./internal/e2e
echo "test-cluster: tests took $((SECONDS - begun)) s"
