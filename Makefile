# `make help` lists the targets. A fresh clone needs Go, make, git and a C
# compiler (for the race detector); everything else is built from Go modules.

SHELL := /bin/bash
GO ?= go
LOCAL_NODES ?= 4

# component-base wants vMAJOR.MINOR.PATCH first.
VERSION ?= $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null || echo v0.0.0-$$(git rev-parse --short HEAD 2>/dev/null || echo unknown))
LDFLAGS := -X k8s.io/component-base/version.gitVersion=$(VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Start here

.PHONY: demo
demo: kube-build build ## Play the scaling tutorial on a local Kubernetes (KEEP=1 leaves it running).
	@KEEP=$(KEEP) hack/demo.sh

.PHONY: test
test: kube-build ## Unit and integration tests, with the race detector, on a local Kubernetes.
	@hack/test.sh ./...
	@cd test/kube && CGO_ENABLED=0 $(GO) test -vet=off ./...

##@ Build

.PHONY: build
build: ## Build the programs into bin/.
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: kube-build
kube-build: ## Build the local Kubernetes into bin/ (minutes the first time).
	@hack/build-kube.sh

.PHONY: dist
dist: kube-build ## Write all manifests into dist/minicluster.yaml and dist/minicluster-metrics.yaml.
	@mkdir -p dist
	@bin/kubectl kustomize manifests/default >dist/minicluster.yaml
	@bin/kubectl kustomize manifests/metrics >dist/minicluster-metrics.yaml
	@for f in dist/minicluster.yaml dist/minicluster-metrics.yaml; do echo "$$f: $$(grep -c '^kind:' $$f) objects"; done

.PHONY: node-build
node-build: ## Build what a real node needs besides into bin/.
	@hack/build-kube.sh --node

.PHONY: image
image: ## Build the container image, dist/minicluster-image.tar (PLATFORMS=linux/amd64,linux/arm64).
	@$(GO) run ./hack/image --version '$(VERSION)' --ldflags '$(LDFLAGS)' $(if $(PLATFORMS),--platforms $(PLATFORMS))

.PHONY: clean
clean: ## Remove what was built.
	rm -rf bin dist

##@ Local Kubernetes

.PHONY: kube-up
kube-up: kube-build ## Start a local Kubernetes with simulated nodes and print its kubeconfig (LOCAL_NODES=4).
	@$(GO) run ./test/cluster/kubeup up --nodes $(LOCAL_NODES)

.PHONY: kube-down
kube-down: ## Stop it and remove its state.
	@$(GO) run ./test/cluster/kubeup down

.PHONY: node-up
node-up: node-build ## Start a local Kubernetes with a real node (root) and print how to use it.
	@$(GO) run ./test/node/nodeup up

.PHONY: node-down
node-down: ## Stop it, its containers too, and remove its state.
	@$(GO) run ./test/node/nodeup down

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

.PHONY: fuzz
fuzz: ## Run each fuzz test for a while (FUZZTIME=20s).
	@hack/fuzz.sh

.PHONY: verify
verify: ## Check that generated files are fresh, formatting, vet and lint.
	@hack/verify.sh

.PHONY: lint
lint: ## Run golangci-lint.
	@hack/lint.sh

.PHONY: generate
generate: ## Generate clients, deep copies, the CRD and the field reference again.
	@hack/update-codegen.sh

.PHONY: golden
golden: ## Write the golden files of the tests again; look at the diff.
	@$(GO) test ./pkg/fluxconfig ./pkg/controller ./pkg/controller/app ./pkg/agent/prepare ./pkg/agent/serve -update >/dev/null && git diff --stat -- '*testdata*'
