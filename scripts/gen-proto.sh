#!/usr/bin/env bash
# gen-proto.sh [FOLDER]: writes plugin-sdk/internal/workerpb from proto/, below FOLDER (default: the repository). Needs
# protoc (Debian: protobuf-compiler); its two Go plugins are built in the versions pinned here.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-.}
go_version=v1.36.12 grpc_version=v1.6.2
command -v protoc >/dev/null || { echo "gen-proto: protoc is missing: apt-get install protobuf-compiler" >&2; exit 1; }
gen_go=.tools/protoc-gen-go-$go_version gen_grpc=.tools/protoc-gen-go-grpc-$grpc_version
[ -x "$gen_go" ] || scripts/install-tool.sh google.golang.org/protobuf/cmd/protoc-gen-go "$go_version" "$gen_go"
[ -x "$gen_grpc" ] || scripts/install-tool.sh google.golang.org/grpc/cmd/protoc-gen-go-grpc "$grpc_version" "$gen_grpc"
protoc -I proto \
  --plugin=protoc-gen-go="$gen_go" --go_out="$out" --go_opt=module=github.com/skalds-go/skalds \
  --plugin=protoc-gen-go-grpc="$gen_grpc" --go-grpc_out="$out" --go-grpc_opt=module=github.com/skalds-go/skalds \
  proto/skalds/worker/v1/worker.proto
