#!/usr/bin/env bash
# Runs a cluster on this machine until Ctrl-C: Kafka, Redis and MongoDB's protocol, two controllers, three hosts, and the cameras of
# examples/demo. Everything lies in the folder CLUSTER_DIR and goes on from there the next time. make cluster builds before.
#   LISTEN=127.0.0.1:8000   the first controller; the second one has the next port
#   KAFKA_HOST REDIS_HOST MONGO_HOST   where all three are named, those services are used instead of starting some
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
. scripts/services/own.sh
command -v curl >/dev/null || { echo "cluster: curl is missing" >&2; exit 1; }

listen=${LISTEN:-127.0.0.1:8000}
dir=${CLUSTER_DIR:-./skalds-cluster}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
host=${listen%:*} port=${listen##*:}
second=$host:$((port + 1))

started=no
pids=()
finish() {
  local code=$? p
  trap - EXIT INT TERM
  ((${#pids[@]} == 0)) || kill -TERM "${pids[@]}" 2>/dev/null || true
  for p in "${pids[@]}"; do
    wait "$p" 2>/dev/null || true
  done
  [[ $started == no ]] || SERVICES_RUN=$dir/services scripts/stop-services.sh || true
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [[ -z ${KAFKA_HOST:-} || -z ${REDIS_HOST:-} || -z ${MONGO_HOST:-} ]]; then
  echo "cluster: starting Kafka, Redis and MongoDB's protocol; the first time they are fetched, which takes a minute"
  started=yes
  SERVICES_RUN=$dir/services scripts/start-services.sh >"$dir/addresses"
  KAFKA_HOST=$(address "$dir/addresses" KAFKA_BROKERS) REDIS_HOST=$(address "$dir/addresses" REDIS_ADDR) MONGO_HOST=$(address "$dir/addresses" MONGO_URI)
fi
export KAFKA_HOST REDIS_HOST MONGO_HOST

# run NAME ARGUMENTS…: a part of the cluster, whose log is a file.
run() {
  local name=$1
  shift
  (cd "$dir" && exec "$root/bin/skalds" "$@") >>"$dir/$name.log" 2>&1 & # no .env or skalds.yml of the checkout holds here
  pids+=($!)
}
run controller-1 controller --listen "$listen"
run controller-2 controller --listen "$second"
[[ -e $dir/workers.yml ]] || cp examples/demo/workers.yml "$dir/workers.yml"
for i in 1 2 3; do
  extra=()
  ((i > 1)) || extra=(--workers "$dir/workers.yml")
  run "host-$i" host --mode node --data-dir "$dir/host-$i" --node-id "host-$i" --plugins "$root/bin/plugins" --capacity-share 0.333 "${extra[@]}"
done

up=no
ready() { curl -fsS -o /dev/null "http://$1/readyz" 2>/dev/null; }
for ((i = 0; i < 300; i++)); do
  if ready "$listen" && ready "$second"; then
    up=yes
    break
  fi
  for p in "${pids[@]}"; do
    kill -0 "$p" 2>/dev/null || {
      echo "cluster: a part has ended; the last lines of the logs in $dir:" >&2
      tail -n 3 "$dir"/controller-*.log "$dir"/host-*.log >&2
      exit 1
    }
  done
  sleep 0.2
done
if [[ $up == no ]]; then
  echo "cluster: not ready after a minute; the last lines of the logs in $dir:" >&2
  tail -n 5 "$dir"/controller-*.log >&2
  exit 1
fi
cat <<TEXT
cluster: two controllers and three hosts are up; either page shows all:
  http://$listen/dashboard
  http://$second/dashboard
cluster: logs and all that lasts: $dir
cluster: try: kill -9 ${pids[0]}   (a controller; the other one leads within three seconds)
cluster:      bin/skalds --server http://$listen task create MyWorker --set rtspUrl=x --set fixFrame=5
cluster:      kill -9 ${pids[3]}   (host-2: its tasks move; the cameras of a workers file stay with host-1)
cluster: Ctrl-C stops everything
TEXT
while :; do
  sleep 3600 &
  wait $! || true
done
