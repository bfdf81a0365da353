#!/usr/bin/env bash
# test-dist.sh VERSION ARCH…: what make-dist.sh has made of VERSION, as one who gets it finds it: the sums hold, the archives have what they
# should, another folder makes the same bytes, and from the one for this machine program and workers run.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD version=$1
shift
work=$(mktemp -d /tmp/dist.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "dist: FAILED: $*" >&2; exit 1; }
own=$(go env GOHOSTARCH)
package=$(scripts/package-version.sh "$version")

(cd dist && sha256sum --quiet -c SHA256SUMS) || fail "dist/SHA256SUMS does not hold"
for arch in "$@"; do
  name=skalds-$package-linux-$arch
  grep -q "  $name.tar.gz\$" dist/SHA256SUMS || fail "dist/SHA256SUMS does not name $name.tar.gz"
  tar -tzvf "dist/$name.tar.gz" --numeric-owner >"$work/list"
  foreign=$(awk '$2 != "0/0" || $1 ~ /^.....w|^........w/ || $1 !~ /^[-d]/' "$work/list")
  [[ -z $foreign ]] || fail "$name: owners, rights or kinds of files: $foreign"
  outside=$(awk -v top="$name/" 'index($6, top) != 1' "$work/list")
  [[ -z $outside ]] || fail "$name: not in its folder: $outside"
  tar -xzf "dist/$name.tar.gz" -C "$work"
  for file in systemd/skalds.service skalds.yml skalds.env skalds.example.yml README.md LICENSE THIRD_PARTY_NOTICES.md compose.yaml .env.example docs/{operations,migration,workers}.md; do
    [[ -s $work/$name/$file ]] || fail "$name has no $file"
  done
  case $arch in
    amd64) machine=003e ;;
    arm64) machine=00b7 ;;
    *) fail "no test knows the machine $arch" ;;
  esac
  programs=("$work/$name/bin/skalds" "$work/$name"/examples/*/*/*)
  ((${#programs[@]} == 4)) || fail "$name has the programs ${programs[*]}"
  for program in "${programs[@]}"; do
    [[ -x $program && $(od -An -tx2 -j18 -N2 --endian=little "$program" | tr -d ' ') == "$machine" ]] || fail "$program is no program for $arch"
  done
done
echo "dist: the sums hold, and $# archives have what they should"

# The same commit makes the same bytes, wherever it lies.
name=skalds-$package-linux-$own
[[ -d $work/$name ]] || fail "nothing was made for this machine ($own)"
mkdir "$work/elsewhere"
git ls-files -z -co --exclude-standard | tar -c --null -T - --ignore-failed-read | tar -x -C "$work/elsewhere"
echo "gitdir: $(git rev-parse --absolute-git-dir)" >"$work/elsewhere/.git"
(umask 077 && "$work/elsewhere/scripts/make-dist.sh" "$version" "$own" >/dev/null)
cmp "dist/$name.tar.gz" "$work/elsewhere/dist/$name.tar.gz" || fail "another folder makes another $name.tar.gz"
rm -rf "$work/elsewhere"
echo "dist: another folder makes the same bytes"

# As one does who has unpacked it: nothing of the checkout, of its environment or its folder counts.
mkdir "$work/home"
run() { (cd "$work/home" && env -i PATH=/usr/bin:/bin HOME="$work/home" timeout 60 "$@"); }
skalds=$work/$name/bin/skalds
said=$(run "$skalds" version) || fail "\`skalds version\`: $said"
[[ $said == "skalds $version ("*"linux/$own)" ]] || fail "it calls itself \"$said\" and not $version"
run "$skalds" doctor --local --data-dir "$work/data" >"$work/doctor" || fail "\`skalds doctor\`: $(cat "$work/doctor")"
run "$skalds" config check --config "$work/$name/skalds.yml" >"$work/check" 2>&1 || fail "its settings cannot be used: $(cat "$work/check")"
cat >"$work/job.yml" <<'JOB'
TaskWorkers:
  once:
    className: ComplexWorker
    attachments:
      enable_feature_x: true
      jobId: dist
      retries: 0
      sub_tasks: [{name: only, duration: 0.1, fail_chance: 0}]
JOB
run "$skalds" host --mode single_process --workers "$work/job.yml" --plugins "$work/$name/examples" --data-dir "$work/data" >"$work/job.log" 2>&1 ||
  fail "a worker of the archive does not run to its end: $(cat "$work/job.log")"
sed -i 's/className: ComplexWorker/className: NoSuchWorker/' "$work/job.yml"
! run "$skalds" host --mode single_process --workers "$work/job.yml" --plugins "$work/$name/examples" --data-dir "$work/data" >/dev/null 2>&1 ||
  fail "a worker that is not there ran to its end"
echo "dist: $said runs its workers from where it was unpacked"
