#!/usr/bin/env bash
# Writes plugin-sdk/internal/workerpb from proto/. Needs protoc (Debian: protobuf-compiler); the two Go plugins are built
# from the versions pinned here.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(pwd)/.tools
command -v protoc >/dev/null || { echo "gen-proto: protoc is missing: apt-get install protobuf-compiler" >&2; exit 1; }
[ -x "$bin/protoc-gen-go" ] || GOBIN="$bin" go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
[ -x "$bin/protoc-gen-go-grpc" ] || GOBIN="$bin" go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
PATH="$bin:$PATH" protoc -I proto \
  --go_out=. --go_opt=module=github.com/skalds-go/skalds \
  --go-grpc_out=. --go-grpc_opt=module=github.com/skalds-go/skalds \
  proto/skalds/worker/v1/worker.proto
