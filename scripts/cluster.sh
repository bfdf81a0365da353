#!/usr/bin/env bash
# Runs a cluster on this machine until Ctrl-C: Kafka, Redis and MongoDB's protocol, two controllers, three hosts, and the cameras of
# examples/demo. Everything lies in the folder CLUSTER_DIR and goes on from there the next time; start-NAME.sh in it starts one part
# again. make cluster builds before.
#   LISTEN=127.0.0.1:8000   the first controller; the second one has the next port
#   KAFKA_HOST REDIS_HOST MONGO_HOST   where all three are named, those services are used instead of starting some
#   BIN=bin   the folder of skalds and of plugins/
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
. scripts/services/own.sh
say() { echo "cluster: $*"; }
fail() { say "$@" >&2; exit 1; }
command -v curl >/dev/null || fail "curl is missing"

listen=${LISTEN:-127.0.0.1:8000}
[[ $listen =~ ^(.+):([0-9]+)$ ]] || fail "LISTEN=$listen is not of the form 127.0.0.1:8000"
host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}
second=$host:$((port + 1))
bin=$(cd "${BIN:-bin}" && pwd)
dir=${CLUSTER_DIR:-./skalds-cluster}
(umask 077; mkdir -p "$dir")
dir=$(cd "$dir" && pwd)
exec 9>"$dir/lock"
flock -n 9 || fail "another one runs in $dir: name another folder by CLUSTER_DIR, and another LISTEN"

# A part is recorded by its process id and when that process began, so that no process of somebody else is taken for it.
export SERVICES_RUN=$dir
. scripts/services/process.sh

parts=(controller-1 controller-2 host-1 host-2 host-3)
services=no
finish() {
  local code=$? n
  trap - EXIT INT TERM
  for n in "${parts[@]}"; do end "$n" & done
  wait
  [[ $services == no ]] || SERVICES_RUN=$dir/services scripts/stop-services.sh || true
  exit "$code"
}

# free ADDRESS NAME: nobody else listens where a part will.
free() {
  recorded "$2" >/dev/null || ! (echo >"/dev/tcp/${host//[\[\]]/}/${1##*:}") 2>/dev/null ||
    fail "another program listens on $1, where $2 would: name another address by LISTEN (is it another Skalds? curl http://$1/api/system/status tells)"
}
free "$listen" controller-1
free "$second" controller-2
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [[ -z ${KAFKA_HOST:-} || -z ${REDIS_HOST:-} || -z ${MONGO_HOST:-} ]]; then
  say "starting Kafka, Redis and MongoDB's protocol; the first time they are fetched, which takes a minute"
  services=yes
  SERVICES_RUN=$dir/services scripts/start-services.sh >"$dir/addresses" 9>&-
  KAFKA_HOST=$(address "$dir/addresses" KAFKA_BROKERS) REDIS_HOST=$(address "$dir/addresses" REDIS_ADDR) MONGO_HOST=$(address "$dir/addresses" MONGO_URI)
fi
export KAFKA_HOST REDIS_HOST MONGO_HOST

# part NAME ARGUMENTS…: writes start-NAME.sh, with the settings of this environment, and runs it. No .env or skalds.yml of the checkout
# holds in $dir.
part() {
  local name=$1 file=$dir/start-$1.sh v
  shift
  rm -f "$file" # it may be readable for others, and be read by a shell
  (
    umask 077
    {
      printf '#!/usr/bin/env bash\n# Starts %s of this cluster where it does not run; made by scripts/cluster.sh, which stops it.\n' "$name"
      printf 'set -euo pipefail\ncd %q\n' "$dir"
      for v in $(compgen -e); do
        case $v in
          SKALDS_TEST_*) ;;
          SKALD*_* | KAFKA_* | REDIS_* | MONGO_* | DB_* | LOG_* | SYSTEM_* | TASK_* | DISPATCHER_*) printf 'export %s=%q\n' "$v" "${!v}" ;;
        esac
      done
      printf 'SERVICES_RUN=$PWD\n. %q\n' "$root/scripts/services/process.sh"
      printf 'if pid=$(recorded %s); then\n  echo "%s runs already: %s"\n  exit\nfi\n' "$name" "$name" '$pid'
      printf 'launch %s' "$name"
      printf ' %q' "$bin/skalds" "$@"
      printf '\necho "%s runs: $(recorded %s), log %s"\n' "$name" "$name" "$dir/$name.log"
    } >"$file"
    chmod 0700 "$file"
  )
  "$file" 9>&- >/dev/null
}
part controller-1 controller --listen "$listen"
part controller-2 controller --listen "$second"
[[ -e $dir/workers.yml ]] || cp examples/demo/workers.yml "$dir/workers.yml"
for i in 1 2 3; do
  extra=()
  ((i > 1)) || extra=(--workers "$dir/workers.yml")
  part "host-$i" host --mode node --data-dir "$dir/host-$i" --node-id "host-$i" --plugins "$bin/plugins" --capacity-share 0.333 "${extra[@]}"
done

# died: the first part that has ended, with the end of its log.
died() {
  local n
  for n in "${parts[@]}"; do
    recorded "$n" >/dev/null || { echo "$n"; return; }
  done
  return 1
}
stop_if_died() {
  local n
  n=$(died) || return 0
  say "$n has ended; the last lines of $dir/$n.log:" >&2
  tail -n 10 "$dir/$n.log" >&2
  exit 1
}
ready() { curl -fsS -o /dev/null -m 5 "http://$1/readyz" 2>/dev/null; }
deadline=$((SECONDS + 60))
until ready "$listen" && ready "$second"; do
  stop_if_died
  if ((SECONDS >= deadline)); then
    say "not ready after a minute; the last lines of the logs in $dir:" >&2
    tail -n 5 "$dir"/controller-*.log >&2
    exit 1
  fi
  sleep 0.2
done
stop_if_died # and it was not somebody else who answered

pid() { recorded "$1" || echo '?'; }
cat <<TEXT
cluster: two controllers and three hosts are up; either page shows all:
  http://$listen/dashboard
  http://$second/dashboard
cluster: logs and all that lasts: $dir
cluster: try: kill -9 $(pid controller-1)   (a controller; the other one leads within three seconds)
cluster:      bin/skalds --server http://$listen task create MyWorker --set rtspUrl=x --set fixFrame=5
cluster:      kill -9 $(pid host-2)   (host-2: its tasks move; the cameras of a workers file stay with host-1)
cluster: and then, to start it again: $dir/start-controller-1.sh, $dir/start-host-2.sh, …
cluster: Ctrl-C stops everything
TEXT
declare -A gone=()
while :; do
  for n in "${parts[@]}"; do
    if recorded "$n" >/dev/null; then
      [[ -z ${gone[$n]:-} ]] || say "$n runs again: $(pid "$n")"
      gone[$n]=
    elif [[ -z ${gone[$n]:-} ]]; then
      gone[$n]=yes
      say "$n has ended: its log is $dir/$n.log; $dir/start-$n.sh starts it again"
    fi
  done
  sleep 1 &
  wait $! || true
done
