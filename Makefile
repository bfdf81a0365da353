# `make` alone lists the targets. Needs GNU make, git and Go; what else a target needs it builds into .tools or asks for.

SHELL := bash
comma := ,
.DEFAULT_GOAL := help

LISTEN   ?= 127.0.0.1:8000
DATA_DIR ?= ./skalds-data

# The modules are those of go.work, each as a folder.
MODULES  := $(shell sed -n 's/^[[:space:]]*\(\.[^[:space:]]*\)$$/\1/p' go.work)
PACKAGES := $(addsuffix /...,$(MODULES))
WORKERS  := rtsp-worker simple-worker complex-worker

# What cross compiles for, beside the system it runs on.
PLATFORMS ?= darwin/arm64 darwin/amd64 linux/arm64

# The version is stamped here: Go's own stamping fails in a checkout that belongs to somebody else.
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -X main.version=$(VERSION)
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)

GOFUMPT_VERSION     := v0.12.0
STATICCHECK_VERSION := v0.8.2
NFPM_VERSION        := v2.45.2
GOFUMPT     := .tools/gofumpt-$(GOFUMPT_VERSION)
STATICCHECK := .tools/staticcheck-$(STATICCHECK_VERSION)
NFPM        := .tools/nfpm-$(NFPM_VERSION)

# What packages are made for.
ARCHS    ?= amd64 arm64
DEB_ARCH ?= $(shell go env GOARCH 2>/dev/null)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: needs
needs:
	@scripts/check-needs.sh

.PHONY: build
build: needs ## compile bin/skalds and the example workers into bin/plugins/<name>/<version>/
	@mkdir -p bin/.build
	GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/.build/skalds ./cmd/skalds
	@scripts/install-file.sh bin/.build/skalds bin/skalds 0755
	@for w in $(WORKERS); do scripts/build-worker.sh examples/$$w bin/plugins || exit 1; done

.PHONY: run
run: build ## start everything on this machine with two recorded cameras; LISTEN=host:port DATA_DIR=folder
	@mkdir -p '$(DATA_DIR)'
	@[ -e '$(DATA_DIR)/workers.yml' ] || cp examples/demo/workers.yml '$(DATA_DIR)/workers.yml'
	@exec bin/skalds standalone --listen '$(LISTEN)' --data-dir '$(DATA_DIR)' --plugins bin/plugins --workers '$(DATA_DIR)/workers.yml'

.PHONY: cluster
cluster: build ## start services, two controllers and three hosts with the cameras; LISTEN=host:port CLUSTER_DIR=folder (needs java 17, mvn, python3)
	@LISTEN='$(LISTEN)' exec scripts/cluster.sh

.PHONY: test
test: needs ## run all tests of all modules, with the race detector where a C compiler is found
	go test $$(scripts/race-flag.sh) $(TEST_FLAGS) $(PACKAGES)

.PHONY: test-cluster
test-cluster: needs ## run the tests that need a real Kafka, Redis and MongoDB, and start these (needs java 17, mvn, python3)
	scripts/test-cluster.sh

.PHONY: test-python
test-python: needs ## test nodes of the Python original (skalds 0.3.8) beside ours, over Kafka 3.9
	scripts/test-python-nodes.sh

.PHONY: check
check: fmt-check vet staticcheck archtest verify test simulate ## everything that must hold before a commit

.PHONY: fmt
fmt: $(GOFUMPT) ## format all Go files
	$(GOFUMPT) -l -w $$(scripts/go-files.sh)

.PHONY: fmt-check
fmt-check: $(GOFUMPT) ## list Go files that are not formatted
	@list=$$($(GOFUMPT) -l $$(scripts/go-files.sh)) || exit 1; \
	 [ -z "$$list" ] || { printf 'not formatted, run make fmt:\n%s\n' "$$list" >&2; exit 1; }

.PHONY: vet
vet: needs ## run go vet over all modules
	go vet $(PACKAGES)

.PHONY: staticcheck
staticcheck: needs $(STATICCHECK) ## run staticcheck over all modules
	$(STATICCHECK) $(PACKAGES)

.PHONY: archtest
archtest: needs ## check who imports whom
	go test ./internal/archtest

.PHONY: verify
verify: needs ## check that generated files, go.mod and go.sum are what the tools make (needs protoc)
	scripts/verify.sh $(MODULES)

.PHONY: generate
generate: needs ## make all generated files anew (needs protoc)
	scripts/gen-proto.sh
	scripts/third-party-notices.sh > THIRD_PARTY_NOTICES.md.new
	@mv THIRD_PARTY_NOTICES.md.new THIRD_PARTY_NOTICES.md

.PHONY: cross
cross: needs ## check that everything, tests included, compiles for macOS and for Linux on arm64
	@for p in $(PLATFORMS); do \
	  echo "compile for $$p"; \
	  export GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0; \
	  go build -trimpath $(PACKAGES) && go vet -trimpath $(PACKAGES) || exit 1; \
	done

.PHONY: simulate
simulate: needs ## play lives of a cluster in fake time, without the race detector; SEEDS=200
	SKALDS_TEST_SEEDS=$(or $(SEEDS),200) go test -count=1 -run TestChaos ./controller

.PHONY: chaos
chaos: needs ## kill, freeze and cut off parts of a cluster at random while tasks run; CHAOS_DURATION=1h CHAOS_SERVICES=real|embedded
	CHAOS_SERVICES=$(or $(CHAOS_SERVICES),real) CHAOS_DURATION=$(or $(CHAOS_DURATION),1h) \
	  go test -count=1 -v -timeout 0 -run '^TestChaos$$' ./internal/chaos

.PHONY: outages
outages: needs ## take each service away in each way, and measure; OUTAGE_DURATION=30s OUTAGE_BACKLOG=1000 CHAOS_SERVICES=real|embedded
	CHAOS_SERVICES=$(or $(CHAOS_SERVICES),real) OUTAGE_DURATION=$(or $(OUTAGE_DURATION),30s) OUTAGE_BACKLOG=$(or $(OUTAGE_BACKLOG),1000) \
	  go test -count=1 -v -timeout 1h -run '^TestOutages$$' ./internal/chaos

.PHONY: scale
scale: needs ## measure a controller with 100 to 1,000 pretended nodes over real Kafka and Redis; SCALE_NODES=100,250 SCALE_SECONDS=30
	SCALE_NODES=$(or $(SCALE_NODES),100$(comma)250$(comma)500$(comma)1000) SKALDS_TEST_SERVICES=$(CURDIR)/scripts \
	  SCALE_OUT=$(CURDIR)/docs/scale.json SCALE_PLOT=$(CURDIR)/docs/scale.svg \
	  go test -count=1 -v -timeout 1h -run '^TestGrowth$$' ./internal/scale

.PHONY: bench
bench: needs ## measure the promises in numbers, print a table and write bench.json; BENCH_FLAGS=-short
	go run ./internal/bench $(BENCH_FLAGS)

.PHONY: nightly
nightly: needs ## run the long tests: kills at random moments, thousands of simulated lives
	SKALDS_NIGHTLY=1 SKALDS_TEST_SEEDS=2000 go test -count=1 -timeout 3h -run 'Nightly|Kill|Chaos' $(TEST_FLAGS) $(PACKAGES)

.PHONY: dist
dist: needs ## make dist/*.tar.gz for linux, and SHA256SUMS; ARCHS="amd64 arm64"
	scripts/make-dist.sh '$(VERSION)' $(ARCHS)

.PHONY: test-dist
test-dist: dist ## look into the archives, check the sums, make them again elsewhere, and run the one for this machine
	scripts/test-dist.sh '$(VERSION)' $(ARCHS)

.PHONY: deb
deb: needs $(NFPM) ## make dist/*.deb for this machine; DEB_ARCH="amd64 arm64"
	scripts/make-deb.sh $(NFPM) '$(VERSION)' $(DEB_ARCH)

.PHONY: lint-packages
lint-packages: ## check Dockerfile, Kubernetes files, units, and what the package installs and purges
	scripts/lint-packaging.sh

.PHONY: test-packages
test-packages: deb ## look into the package, install and run it under a systemd of its own
	scripts/test-packages.sh "$$(ls -t dist/*_$$(dpkg --print-architecture).deb | head -n 1)"

.PHONY: tools
tools: $(GOFUMPT) $(STATICCHECK) ## build the tools of fmt and check into .tools

$(GOFUMPT):
	scripts/install-tool.sh mvdan.cc/gofumpt $(GOFUMPT_VERSION) $@

$(STATICCHECK):
	scripts/install-tool.sh honnef.co/go/tools/cmd/staticcheck $(STATICCHECK_VERSION) $@

$(NFPM):
	scripts/install-tool.sh github.com/goreleaser/nfpm/v2/cmd/nfpm $(NFPM_VERSION) $@

.PHONY: clean
clean: ## remove what was built; data folders stay
	rm -rf bin dist .tools bench.json
