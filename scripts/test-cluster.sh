#!/usr/bin/env bash
# Starts real services on free ports, runs against them the tests that need some, and stops them. What start-services.sh
# takes from the environment (KAFKA_VERSION, REDIS_KIND, …) counts here, too. TEST_FLAGS are added to go test.
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/services/ports.sh

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
