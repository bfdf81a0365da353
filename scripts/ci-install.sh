#!/usr/bin/env bash
# Installs what CI needs beyond Go, git and make, where it is missing. apt is asked only then.
set -euo pipefail
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
[[ -n $("$(dirname "$0")/race-flag.sh") ]] || missing+=(gcc libc6-dev)
if ((${#missing[@]} == 0)); then
  echo "nothing is missing"
  exit
fi
echo "installing ${missing[*]}"
for try in 1 2 3; do
  if apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
    exit
  fi
  echo "apt-get failed, try $try of 3" >&2
done
exit 1
