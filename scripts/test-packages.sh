#!/usr/bin/env bash
# test-packages.sh DEB: looks into the package, and installs it on a machine of its own: systemd in namespaces over a copy
# of this machine's files. What cannot be done here is skipped, and said; in CI (CI is set) that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
deb=$(realpath "$1")
work=$(mktemp -d /tmp/pkg.XXXXXX)
booted= group=

finish() {
  local code=$?
  if [[ -n $booted ]]; then
    kill -KILL "$booted" 2>/dev/null || true
    wait "$booted" 2>/dev/null || true
  fi
  if [[ -n $group ]]; then
    for _ in $(seq 50); do # the last of them may still be dying
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [[ -d $group ]] || break
      sleep 0.1
    done
  fi
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "packages: FAILED: $*" >&2; exit 1; }
skip() {
  [[ -z ${CI:-} ]] || fail "in CI nothing is skipped (scripts/ci-install.sh installs what is missing, CI= allows it): $*"
  echo "packages: SKIPPED: $*" >&2
}

# What is in it.
dpkg-deb -x "$deb" "$work/files"
dpkg-deb -e "$deb" "$work/control"
for script in postinst prerm postrm; do
  sh -n "$work/control/$script" || fail "$script is no shell script"
done
[[ $(sort "$work/control/conffiles" | tr '\n' ' ') == "/etc/skalds/skalds.env /etc/skalds/skalds.yml " ]] || fail "conffiles: $(cat "$work/control/conffiles")"
(cd "$work/files" && md5sum --quiet -c ../control/md5sums) || fail "the sums of the files are wrong"
open=$(find "$work/files" ! -type l -perm /022)
[[ -z $open ]] || fail "others may write: $open"
[[ $(stat -c %a "$work/files/etc/skalds/skalds.env") == 600 ]] || fail "everybody reads the secrets"
for page in docs/*.md; do
  cmp -s "$page" "$work/files/usr/share/doc/skalds/${page##*/}" || fail "the package lacks $page, or has another one"
done
foreign=$(dpkg-deb -c "$deb" | awk '$2 != "root/root"')
[[ -z $foreign ]] || fail "owners: $foreign"
for unit in packaging/systemd/*.service; do
  cmp "$unit" "$work/files/usr/lib/systemd/system/${unit##*/}" || fail "the package has another ${unit##*/}"
done
echo "packages: the package holds what it should"

# A machine of its own.
why=
[[ $(id -u) == 0 ]] || why="needs root"
[[ -x /lib/systemd/systemd ]] || why="no systemd here"
[[ $(dpkg-deb -f "$deb" Architecture) == $(dpkg --print-architecture) ]] || why="the package is for another machine"
for tool in unshare nsenter ip adduser journalctl; do
  command -v "$tool" >/dev/null || why="no $tool here"
done
hierarchy=$(awk '{for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") {print $5; exit}}' /proc/self/mountinfo)
[[ -n $hierarchy ]] || why="no control groups of version 2 here"
spaces=(--pid --fork --mount --cgroup --uts --ipc --net --kill-child)
if [[ -z $why ]] && ! unshare "${spaces[@]}" true 2>/dev/null; then
  why="namespaces cannot be made here"
fi
if [[ -n $why ]]; then
  skip "installing and running it under systemd: $why"
  exit 0
fi
group=$hierarchy/skalds-package-$$
mkdir "$group"
mkdir "$work/machine"
(
  echo "$BASHPID" >"$group/cgroup.procs"
  exec unshare "${spaces[@]}" packaging/test/boot.sh "$work/machine"
) </dev/null >"$work/boot" 2>&1 &
booted=$!
init=
for _ in $(seq 900); do # three minutes: a busy machine is slow to boot
  init=$(pgrep -P "$booted" -x systemd || true)
  if [[ -n $init ]] && [[ $(nsenter -t "$init" -a -r -w systemctl is-system-running 2>/dev/null) =~ running|degraded ]]; then
    break
  fi
  kill -0 "$booted" 2>/dev/null || { skip "systemd does not start here: $(cat "$work/boot")"; booted=; exit 0; }
  init=
  sleep 0.2
done
[[ -n $init ]] || { skip "systemd does not come up here: $(cat "$work/boot")"; exit 0; }
inside() { nsenter -t "$init" -a -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }
inside sh -c 'cat >/run/skalds.deb' <"$deb"
inside sh -c 'cat >/run/installed.sh' <packaging/test/installed.sh
inside bash /run/installed.sh /run/skalds.deb </dev/null
