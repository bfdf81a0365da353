# Sourced by start-services.sh and stop-services.sh: what they know of the processes of services.
# A record is $SERVICES_RUN/NAME.pid: the process id and when that process began, so that a process that got the id of a
# former one is never taken for it.

note() { echo "services: $*" >&2; }

listening() { (echo >"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# birth PID: when a process began, in ticks since the machine's start; empty where it is gone or dead.
birth() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  stat=${stat##*) } # the name of the program may have spaces
  set -- $stat
  [[ $1 == Z || $1 == X ]] || echo "${20}"
}

# record NAME PID
record() { echo "$2 $(birth "$2")" >"$SERVICES_RUN/$1.pid"; }

# recorded NAME: the id of the recorded process, where it lives.
recorded() {
  local pid born
  read -r pid born 2>/dev/null <"$SERVICES_RUN/$1.pid" || return 1
  [[ -n $born && $(birth "$pid") == "$born" ]] || return 1
  echo "$pid"
}

# launch NAME COMMAND…: starts a process of its own session, with its output in NAME.log, and records it.
launch() {
  local name=$1
  shift
  nohup setsid "$@" >>"$SERVICES_RUN/$name.log" 2>&1 </dev/null &
  record "$name" "$!"
}

# await NAME PORT: until it listens; says why where it does not.
await() {
  local end=$((SECONDS + ${SERVICES_TIMEOUT:-90}))
  until listening "$2"; do
    if ! recorded "$1" >/dev/null; then
      why "$1" "$1 has ended instead of listening on port $2"
      return 1
    fi
    if ((SECONDS >= end)); then
      why "$1" "$1 does not listen on port $2 after ${SERVICES_TIMEOUT:-90} s"
      return 1
    fi
    sleep 0.1
  done
}

# why NAME MESSAGE: the message, and the end of the log.
why() {
  note "$2; the end of $SERVICES_RUN/$1.log:"
  tail -n 30 "$SERVICES_RUN/$1.log" >&2 || true
}

# end NAME: asks the recorded process to end, and ends it after 20 s.
end() {
  local pid i
  if pid=$(recorded "$1"); then
    kill -TERM "$pid" 2>/dev/null || true
    for ((i = 0; i < 200; i++)); do
      recorded "$1" >/dev/null || break
      sleep 0.1
    done
    if recorded "$1" >/dev/null; then
      note "$1 does not end: it is killed"
      kill -KILL "$pid" 2>/dev/null || true
    fi
  fi
  rm -f "$SERVICES_RUN/$1.pid"
}
