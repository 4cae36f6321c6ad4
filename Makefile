# `make help` lists the targets. A fresh clone needs Go, make, git and a C
# compiler (for the race detector); everything else is built from Go modules.

SHELL := /bin/bash
GO ?= go
# One way to compile, as in hack/goflags.sh.
export CGO_ENABLED := 0
COMPILE_FLAGS := -trimpath -gcflags=all=-dwarf=false
export GOFLAGS := $(filter-out $(COMPILE_FLAGS),$(GOFLAGS)) $(COMPILE_FLAGS)
LOCAL_NODES ?= 4
# Name of the image in the manifests that `make dist` writes.
IMAGE ?= minicluster:latest

# component-base wants vMAJOR.MINOR.PATCH first.
VERSION ?= $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null || echo v0.0.0-$$(git rev-parse --short HEAD 2>/dev/null || echo unknown))
LDFLAGS := -X k8s.io/component-base/version.gitVersion=$(VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Start here

.PHONY: demo
demo: kube-build build ## Play the scaling tutorial on a local Kubernetes (KEEP=1 leaves it running).
	@KEEP=$(KEEP) hack/demo.sh

.PHONY: test
test: kube-build ## Unit and integration tests, with the race detector, on a local Kubernetes.
	@# The packages that take the longest begin first.
	@hack/test.sh ./test/integration/... ./...
	@cd test/kube && $(GO) test -vet=off ./...
	@# Files outside of a module change nothing about what Go has in its cache of results.
	@cd test/monitoring && $(GO) test -count=1 -vet=off ./...
	@cd test/chart && $(GO) test -count=1 -vet=off -timeout 30m ./...
	@cd test/gitops && $(GO) test -count=1 -vet=off ./...

##@ Build

.PHONY: build
build: ## Build the programs into bin/.
	@$(GO) run ./test/framework/gobuild/compile --what "the product" -- ./cmd/... ./test/framework/cluster/kubeup
	@$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: kube-build
kube-build: ## Build the local Kubernetes into bin/ (minutes the first time).
	@hack/build-kube.sh

.PHONY: dist
dist: kube-build ## Write all manifests into dist/: minicluster.yaml, minicluster-metrics.yaml, minicluster-monitoring.yaml (IMAGE=minicluster:latest).
	@mkdir -p dist
	@bin/kubectl kustomize manifests/default | sed 's|minicluster:latest|$(IMAGE)|' >dist/minicluster.yaml
	@bin/kubectl kustomize manifests/metrics | sed 's|minicluster:latest|$(IMAGE)|' >dist/minicluster-metrics.yaml
	@bin/kubectl kustomize manifests/monitoring >dist/minicluster-monitoring.yaml
	@for f in dist/minicluster.yaml dist/minicluster-metrics.yaml dist/minicluster-monitoring.yaml; do echo "$$f: $$(grep -c '^kind:' $$f) objects"; done

.PHONY: node-build
node-build: ## Build what a real node needs besides into bin/.
	@hack/build-kube.sh --node

.PHONY: image
image: ## Build the container image, dist/minicluster-image.tar (PLATFORMS=linux/amd64,linux/arm64).
	@$(GO) run ./hack/image --version '$(VERSION)' --ldflags '$(LDFLAGS)' $(if $(PLATFORMS),--platforms $(PLATFORMS))

.PHONY: release
release: kube-build ## Write a release to dist/release (VERSION=v1.2.3): image, plugin, manifests, SBOM, checksums.
	@IMAGE='$(if $(filter command environment,$(origin IMAGE)),$(IMAGE))' hack/release.sh '$(VERSION)'

.PHONY: site
site: ## Write the documentation as a site with search to dist/site, and check its links (builds Hugo first).
	@$(GO) build -C hack/tools/site -o '$(CURDIR)/bin/hugo' github.com/gohugoio/hugo
	@bin/hugo --source hack/site --destination '$(CURDIR)/dist/site' \
		--cleanDestinationDir --noBuildLock --panicOnWarning
	@MINICLUSTER_SITE='$(CURDIR)/dist/site' $(GO) test -count=1 -vet=off -run '^TestSite' ./test/documentation

.PHONY: clean
clean: ## Remove what was built.
	rm -rf bin dist

##@ Local Kubernetes

.PHONY: kube-up
kube-up: kube-build ## Start a local Kubernetes with simulated nodes and print its kubeconfig (LOCAL_NODES=4).
	@$(GO) run ./test/framework/cluster/kubeup up --nodes $(LOCAL_NODES)

.PHONY: kube-down
kube-down: ## Stop it and remove its state.
	@$(GO) run ./test/framework/cluster/kubeup down

.PHONY: node-up
node-up: node-build ## Start a local Kubernetes with a real node (root) and print how to use it.
	@$(GO) run ./test/framework/node/nodeup up

.PHONY: node-down
node-down: ## Stop it, its containers too, and remove its state.
	@$(GO) run ./test/framework/node/nodeup down

##@ Any Kubernetes

.PHONY: install
install: ## Install the operator in the cluster of the current context (IMAGE=minicluster:latest, METRICS=1).
	@IMAGE='$(IMAGE)' METRICS='$(METRICS)' hack/install.sh install

.PHONY: uninstall
uninstall: ## Remove the operator, its API and the metrics API server from it.
	@hack/install.sh uninstall

##@ Check

.PHONY: unit
unit: ## Tests that need no Kubernetes.
	@hack/test.sh -short ./cmd/... ./pkg/...

.PHONY: e2e
e2e: node-build ## End-to-end tests on a real node (root), with the product's own image.
	@hack/e2e.sh

.PHONY: bench
bench: kube-build ## What the operator costs, beside a raw client that makes the same writes (N=300).
	@$(GO) run ./test/bench --number $(or $(N),300) $(BENCHFLAGS)

.PHONY: churn
churn: kube-build build ## Count 5,000 pods on 100 simulated nodes while 50 of them change a second (CHANGES=6000).
	@$(GO) test ./test/integration/capacity -count=1 -run '^TestChurn$$' -v -timeout 30m -args -capacity-nodes=100 -capacity-pods=5000 \
		-capacity-changes=$(or $(CHANGES),6000) -capacity-program=$(CURDIR)/bin/minicluster-metrics

.PHONY: opportunistic
opportunistic: kube-build build ## Play one load for two autoscalers that fill what it leaves, and draw it (12 minutes).
	@$(GO) run ./test/opportunistic

.PHONY: nodes-demo
nodes-demo: kube-build ## Jobs, an autoscaler and the real Karpenter: nodes that follow the jobs, and a drawing of it (5 minutes).
	@$(GO) run ./test/neighbours/nodesdemo

.PHONY: bench-metrics
bench-metrics: kube-build ## What the metrics API server costs with many MiniClusters (N=1000).
	@$(GO) run ./test/bench metrics --number $(or $(N),1000) $(BENCHFLAGS)

.PHONY: scale
scale: kube-build ## What the operator costs with many MiniClusters, a large one and two tenants (N=60, LARGE=200).
	@$(GO) run ./test/bench scale --number $(or $(N),60) --large $(or $(LARGE),200) $(BENCHFLAGS)

.PHONY: bench-start
bench-start: node-build ## How fast pods start and end on a real node (root), beside those of a bare Job (ROUNDS=10).
	@$(GO) run ./test/bench start --rounds $(or $(ROUNDS),10) $(BENCHFLAGS)

.PHONY: versions
versions: kube-build ## Build other releases of Kubernetes, test on each and write the table in README.md (KUBERNETES=1.33,1.34).
	@$(GO) run ./test/versions --kubernetes '$(KUBERNETES)'

.PHONY: neighbours
neighbours: kube-build ## Build the real Kueue and others, test beside them and record the result (NEIGHBOURS=kueue).
	@$(GO) run ./test/neighbours --neighbours '$(NEIGHBOURS)'

.PHONY: upgrade
upgrade: kube-build ## Upgrade from another version to this one and back, with 20 running MiniClusters (FROM=v0.1.0).
	@MINICLUSTER_UPGRADE_FROM='$(or $(FROM),$(shell git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null))' \
		$(GO) test ./test/integration/upgrade -count=1 -vet=off -run '^TestUpgradeAndRollback$$' -v -timeout 30m

.PHONY: fuzz
fuzz: ## Run each fuzz test for a while (FUZZTIME=20s; FUZZ=pkg/flux: those of some packages).
	@FUZZ='$(FUZZ)' hack/fuzz.sh

.PHONY: verify
verify: ## Check that generated files are fresh, formatting, vet and lint.
	@hack/verify.sh

.PHONY: lint
lint: ## Run golangci-lint.
	@hack/lint.sh

.PHONY: generate
generate: ## Generate clients, deep copies, the CRD and the field reference again.
	@hack/update-codegen.sh

.PHONY: update
update: ## Say which dependencies have a newer version; change nothing.
	@hack/update.sh

.PHONY: golden
golden: ## Update the golden files of the tests; read the diff.
	@$(GO) test $$(git grep -lE 'framework/golden|sample[.]GoldenYAML|Bool\("update"' -- 'pkg/*_test.go' | xargs -n1 dirname | sort -u | sed 's|^|./|') -update >/dev/null \
		&& (cd test/chart && $(GO) test . -run '^TestPodValues$$' -update >/dev/null) \
		&& git diff --stat -- '*testdata*'