#!/usr/bin/env bash
# installed.sh DEB: what a person does with the package, on a machine with systemd: install, start, kill, upgrade, remove, purge. Changes
# the machine: test-packages.sh runs it in one that is thrown away.
set -euo pipefail
deb=$1
export SKALDS_SERVER=http://127.0.0.1:8000
tests=0

fail() {
  echo "package: FAILED: $*" >&2
  systemctl --no-pager --full status 'skalds*' >&2 || true
  journalctl --no-pager -n 80 -u 'skalds*' >&2 || true
  exit 1
}
ok() { tests=$((tests + 1)); echo "package: $*"; }

# until_true SECONDS WHAT COMMAND…
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "waited too long for: $what"
    sleep 0.1
  done
  ok "$what"
}
prop() { systemctl show -P "$2" "$1"; }
is() { [[ $(prop "$1" "$2") == "$3" ]]; }
mode() { [[ $(stat -c '%U:%G %a' "$2") == "$1" ]] || fail "$2 is $(stat -c '%U:%G %a' "$2"), not $1"; }
drop_in() { mkdir -p "/etc/systemd/system/$1.d"; cat >"/etc/systemd/system/$1.d/test.conf"; systemctl daemon-reload; }
answers() { skalds node list; }
online() { skalds node get "$1" -o json | grep -q '"status": *"online"'; }
runs() { skalds task get "$1" -o json | grep -q '"lifecycleStatus": *"Running"'; }
nobody_left() { [[ -z $(find /proc/[0-9]*/exe -maxdepth 0 -printf '%l\n' 2>/dev/null | grep -E '^(/usr/bin/skalds|/var/lib/skalds/)') ]]; }
said_since() { journalctl --no-pager -o cat -u skalds --since "@$since" | grep -q "$1"; }

dpkg -i "$deb" >/dev/null || fail "it cannot be installed"
getent passwd skalds >/dev/null || fail "there is no user skalds"
mode "root:skalds 640" /etc/skalds/skalds.yml
mode "root:root 600" /etc/skalds/skalds.env
mode "root:root 755" /var/lib/skalds/plugins
for unit in skalds skalds-controller skalds-host; do
  is $unit ActiveState inactive && is $unit UnitFileState disabled || fail "$unit was started or enabled, and nobody asked for it"
done
skalds config check --config /etc/skalds/skalds.yml >/dev/null || fail "the settings of the package cannot be used"
ok "installed: user, owners, settings; nothing runs"

cp -r /usr/lib/skalds/examples/. /var/lib/skalds/plugins/
systemctl start skalds || fail "it does not start"
is skalds SubState running || fail "it does not run"
answers >/dev/null || fail "systemd says that it is up, and REST does not answer"
[[ $(prop skalds StatusText) == "serves 127.0.0.1:8000"* ]] || fail "its status is: $(prop skalds StatusText)"
mode "skalds:skalds 711" /var/lib/skalds/standalone
ok "systemctl start returns when REST answers"

# A host of the cluster that the standalone is.
drop_in skalds-host.service <<'D'
[Service]
Environment=SKALD_ID=other SKALDS_LABELS=zone=b
ExecStart=
ExecStart=/usr/bin/skalds host --config /etc/skalds/skalds.yml --join /var/lib/skalds/standalone/join.json
WatchdogSec=3
D
systemctl start skalds-host || fail "the host does not start"
until_true 30 "the host's node is online" online other
skalds task create MyWorker --id there --constraint zone=b --set rtspUrl=rtsp://camera/1 --set fixFrame=5 >/dev/null || fail "a task cannot be created"
until_true 60 "a task runs there" runs there
unit_cgroup=/sys/fs/cgroup$(prop skalds-host ControlGroup)
[[ -d $unit_cgroup ]] || fail "no control group $unit_cgroup"

main=$(prop skalds-host MainPID)
restarts=$(prop skalds-host NRestarts)
since=$(date +%s.%N)
kill -KILL "$main"
until_true 20 "systemd starts a killed host again" is skalds-host NRestarts $((restarts + 1))
until_true 20 "the killed host's shim has told the controller, and was not killed before" said_since "the host of a node is gone: node_id=other"
until_true 30 "it is ready" is skalds-host SubState running
until_true 60 "the task runs again" runs there
[[ $(journalctl --no-pager -o cat --since "@$since" | grep -c "Found left-over process") == 0 ]] || fail "the next host was started beside what the one before had left"

main=$(prop skalds-host MainPID)
kill -STOP "$main"
until_true 60 "a host that stands still is killed by its watchdog and started again" is skalds-host NRestarts $((restarts + 2))
until_true 30 "it is ready" is skalds-host SubState running
[[ $(prop skalds-host MainPID) != "$main" ]] || fail "it is the same process"

dpkg -i "$deb" >/dev/null || fail "it cannot be upgraded"
until_true 60 "both run after an upgrade" answers
is skalds SubState running && until_true 60 "the host is back" online other

main=$(prop skalds-host MainPID)
systemctl stop skalds-host || fail "it cannot be stopped"
is skalds-host Result success || fail "the stop went wrong: $(prop skalds-host Result)"
ok "the host stops in order"
systemctl start skalds-host
systemctl enable skalds >/dev/null 2>&1

dpkg -r skalds >/dev/null || fail "it cannot be removed"
until_true 30 "nobody is left after a removal" nobody_left
[[ -f /var/lib/skalds/standalone/skalds.db && -f /etc/skalds/skalds.yml ]] || fail "a removal has taken data or settings"
[[ ! -e /usr/bin/skalds ]] || fail "the program is still there"
dpkg -i "$deb" >/dev/null && systemctl start skalds && skalds task get there >/dev/null || fail "the data are not there after a new installation"
ok "a removal keeps data and settings, a new installation goes on with them"
dpkg -P skalds >/dev/null 2>&1 || fail "it cannot be purged"
[[ ! -e /var/lib/skalds && ! -e /etc/skalds ]] || fail "a purge has left $(ls -d /var/lib/skalds /etc/skalds 2>/dev/null)"
! getent passwd skalds >/dev/null && ! getent group skalds >/dev/null || fail "a purge has left the user or its group"
nobody_left || fail "a purge has left processes"
ok "a purge takes data, settings and the user"
echo "package: $tests checks hold"
