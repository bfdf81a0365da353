#!/usr/bin/env bash
# package-version.sh GIT-DESCRIBE: the version as Debian orders it. v1.2.3 → 1.2.3, v1.2.3-4-gabc → 1.2.3+4.gabc, and before the first
# tag 0.0.0+COMMITS.gabc; v1.2.3-rc.1 → 1.2.3~rc.1, which comes before 1.2.3.
set -euo pipefail
described=${1:?the output of git describe}
dirty=
if [[ $described == *-dirty ]]; then
  described=${described%-dirty} dirty=+dirty
fi
if [[ $described =~ ^v?([0-9]+\.[0-9]+\.[0-9]+)(-([0-9A-Za-z.]*[A-Za-z][0-9A-Za-z.]*))?(-([0-9]+)-(g[0-9a-f]+))?$ ]]; then
  version=${BASH_REMATCH[1]}${BASH_REMATCH[3]:+~${BASH_REMATCH[3]}}${BASH_REMATCH[5]:++${BASH_REMATCH[5]}.${BASH_REMATCH[6]}}
elif [[ $described =~ ^[0-9a-f]{7,40}$ ]]; then
  version=0.0.0+$(git rev-list --count "$described").g$described
elif [[ $described == dev ]]; then
  version=0.0.0~dev
else
  echo "package-version.sh: \"$described\" is no version: tag a commit as v1.2.3" >&2
  exit 1
fi
echo "$version$dirty"
