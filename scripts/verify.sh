#!/usr/bin/env bash
# verify.sh MODULE…: fails when a generated file, a go.mod or a go.sum is not what its tool makes. Changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# protoc writes its own version into a comment; machines differ in it.
scripts/gen-proto.sh "$dir"
diff -r -I '^// .*protoc  *v' "$dir/plugin-sdk/internal/workerpb" plugin-sdk/internal/workerpb -x doc.go ||
  { echo "plugin-sdk/internal/workerpb differs from proto/: run make generate" >&2; failed=1; }

scripts/third-party-notices.sh >"$dir/notices.md"
diff "$dir/notices.md" THIRD_PARTY_NOTICES.md ||
  { echo "THIRD_PARTY_NOTICES.md is out of date: run make generate" >&2; failed=1; }

for module in "$@"; do
  (cd "$module" && GOWORK=off go mod tidy -diff) ||
    { echo "$module: go.mod or go.sum is not tidy: run go mod tidy in it" >&2; failed=1; }
done
exit $failed
