#!/usr/bin/env bash
# Does what a new user does: make run, look at the page and at the recordings, Ctrl-C, make run again. Needs curl, jq and
# ffprobe. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
data=$work/data
mark=SKALDS_CI_SMOKE_$$
recorders=(front-door back-yard)
group=

finish() {
  local code=$?
  if [[ -n $group ]]; then
    kill -KILL -- "-$group" 2>/dev/null || true
  fi
  scripts/leftovers.sh kill "CI_SMOKE=$mark" || true
  if [[ $code != 0 ]]; then
    echo "smoke: failed; the last lines of the program:" >&2
    tail -n 60 "$work"/run*.log >&2 || true
  fi
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "smoke: $*" >&2; exit 1; }

# until_true SECONDS WHAT COMMAND…: polls a command that says by its exit code whether it is so.
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    alive || fail "the program ended while waiting for: $what"
    ((SECONDS < end)) || fail "waited too long for: $what"
    sleep 0.2
  done
  echo "smoke: $what"
}

alive() { [[ -z $group ]] || kill -0 "$group" 2>/dev/null; }

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# start LOG: make run in a process group of its own, as a terminal does it.
start() {
  listen=127.0.0.1:$(free_port)
  set -m
  CI_SMOKE=$mark make --no-print-directory run LISTEN="$listen" DATA_DIR="$data" >"$work/$1" 2>&1 &
  group=$!
  set +m
  until_true 60 "the REST interface answers" curl -fsS "http://$listen/api/tasks/"
  until_true 30 "all tasks run, in processes of their own" tasks_run
}

tasks_run() {
  curl -fsS "http://$listen/api/tasks/" | jq -e --argjson n "$((${#recorders[@]} + 1))" \
    '.items | length == $n and all(.lifecycleStatus == "Running" and .instance.pid > 0) and (map(.instance.pid) | unique | length == $n)'
}

# frames FILE: how many pictures ffprobe finds; fails when the file does not play.
frames() {
  local out err
  err=$(mktemp "$work/ffprobe.XXXXXX")
  out=$(ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0 "$1" 2>"$err") || return 1
  [[ ! -s $err ]] || { cat "$err"; return 1; }
  echo "${out%%,*}"
}

newest() { ls -t "$data/recordings/$1"/*.mp4 2>/dev/null | head -n 1; }
recorded() { local f; f=$(newest "$1") && [[ -n $f && $f != "${2:-}" ]] && (($(frames "$f") >= 20)); }

# stopped LOG SECONDS: waits for make, then for every process that came of it.
stopped() {
  local end=$((SECONDS + $2)) code=0
  while alive; do
    ((SECONDS < end)) || fail "still running $2 s after the signal"
    sleep 0.1
  done
  wait "$group" || code=$?
  group=
  scripts/leftovers.sh list "CI_SMOKE=$mark" || fail "processes are left"
  echo "smoke: it has ended with code $code and left no process"
  return "$code"
}

make --no-print-directory build

start run1.log
for r in "${recorders[@]}"; do
  until_true 30 "$r is being recorded and plays" recorded "$r"
done
[[ $(curl -fsS -o "$work/page" -w '%{content_type}' "http://$listen/dashboard") == text/html* ]] || fail "no page at /dashboard"
curl -fsSL "http://$listen/" | cmp -s - "$work/page" || fail "/ does not lead to the page"
bin/skalds task list --server "http://$listen"
kill -INT -- "-$group"
stopped run1.log 20 || true # make tells that it was interrupted

declare -A before
for r in "${recorders[@]}"; do
  before[$r]=$(newest "$r")
  n=$(frames "${before[$r]}") || fail "$(newest "$r") does not play after the end: $n"
  echo "smoke: $(basename "$(newest "$r")") of $r plays $n pictures after the end"
done

start run2.log
for r in "${recorders[@]}"; do
  until_true 30 "$r goes on after the restart" recorded "$r" "${before[$r]}"
done
pkill -TERM -P "$group" # the program alone; make passes its exit code on
stopped run2.log 20 || fail "the program ended with an error after SIGTERM"
echo "smoke: ok"
