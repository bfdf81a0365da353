#!/usr/bin/env bash
# Tests nodes of the Python original (skalds 0.3.8, unmodified, from PyPI) beside ours in one cluster: starts the services that
# they can use, runs the test, and stops the services. Needs what start-services.sh needs, and Python 3.11 or newer.
#
#   PYTHON=python3              makes the virtual environment
#   KAFKA_VERSION=3.9.1         the original's producer speaks to no Kafka 4
#   SERVICES_CACHE=FOLDER       keeps what was fetched, as for start-services.sh
#   TEST_FLAGS                  are added to go test
set -euo pipefail
cd "$(dirname "$0")/.."

export KAFKA_VERSION=${KAFKA_VERSION:-3.9.1}
export SERVICES_CACHE=${SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/skalds-services}
python=${PYTHON:-python3}
venv=$SERVICES_CACHE/python-skalds-0.3.8

. scripts/services/own.sh

begun=$SECONDS
mkdir -p "$SERVICES_CACHE"
exec 8>"$SERVICES_CACHE/python-skalds.lock"
flock -w 600 8
if [[ ! -e $venv/.complete ]]; then
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "test-python-nodes: $("$python" --version) is too old for skalds 0.3.8: name another one by PYTHON" >&2; exit 1; }
  rm -rf "$venv" # a virtual environment cannot be moved, so it is marked when it is complete
  "$python" -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check skalds==0.3.8
  touch "$venv/.complete"
fi
exec 8>&-
echo "test-python-nodes: skalds 0.3.8 is there after $((SECONDS - begun)) s"

own_services test-python-nodes
export SKALDS_TEST_PYTHON=$venv/bin/python
begun=$SECONDS
# shellcheck disable=SC2086 # flags are words
go test -count=1 -timeout 20m -run '^TestPythonNodes$' ${TEST_FLAGS:-} ./internal/e2e
echo "test-python-nodes: the test took $((SECONDS - begun)) s"
