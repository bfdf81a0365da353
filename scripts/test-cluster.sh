#!/usr/bin/env bash
# Starts real services on free ports, runs against them the tests that need some, and stops them. What start-services.sh
# takes from the environment (KAFKA_VERSION, REDIS_KIND, …) counts here, too. TEST_FLAGS are added to go test.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/services/own.sh

# Redis 8, because Valkey's package has no TLS.
REDIS_KIND=${REDIS_KIND:-redis8} own_services test-cluster
export SKALDS_TEST_SERVICES=$PWD/scripts # for tests that stop, empty and freeze one of their own
begun=$SECONDS
# shellcheck disable=SC2086 # flags are words
go test -count=1 -timeout 20m ${TEST_FLAGS:-} ./internal/porttest ./internal/kafka ./internal/redis ./internal/mongo
# shellcheck disable=SC2086
go test -count=1 -timeout 20m ${TEST_FLAGS:-} -run 'Cluster' ./internal/e2e
echo "test-cluster: tests took $((SECONDS - begun)) s"
