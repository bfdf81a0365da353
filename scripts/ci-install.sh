#!/usr/bin/env bash
# Installs what CI needs beyond Go, git and make, where it is missing. apt is asked only then.
set -euo pipefail
race=$(dirname "$0")/race-flag.sh

# look: lists in missing the packages of what is not there.
look() {
  missing=()
  need() { command -v "$1" >/dev/null || missing+=("$2"); }
  need protoc protobuf-compiler
  need ffprobe ffmpeg
  need chromium chromium
  need curl curl
  need jq jq
  need java default-jre-headless
  need mvn maven
  need python3 python3
  python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
  need openssl openssl
  [[ -n $("$race") ]] || missing+=(gcc libc6-dev)
  # The package is installed and run under a systemd of its own.
  need systemd-analyze systemd
  [[ -x /lib/systemd/systemd ]] || missing+=(systemd)
  need adduser adduser
  need ip iproute2
  need pgrep procps
  need unshare util-linux
}

look
if ((${#missing[@]} == 0)); then
  echo "nothing is missing"
  exit
fi
echo "installing ${missing[*]}"
for try in 1 2 3; do
  if apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
    look
    ((${#missing[@]} == 0)) || { echo "installed, and still not there: ${missing[*]}" >&2; exit 1; }
    exit
  fi
  echo "apt-get failed, try $try of 3" >&2
done
exit 1
