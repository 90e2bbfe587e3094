# The commands to learn. `make` alone lists them.
#
#   PROFILE=release     build as for AWS (slow to compile); dev otherwise
#   REWIND_STACK_DIR    a stack of its own, elsewhere than in .local
#   E2E=part_of_a_name  only those end-to-end tests, as pytest's -k takes it: E2E="fence and not mysql"
#   PART=3/12           make faults: the third of twelve parts of the matrix
#   TENANTS, READERS, SESSIONS
#                       make tenants: databases with a login each, readers beside the writer of MySQL, sessions on all of them
#   CUTOVERS=400        make faults: how often traffic moves under applications with pools of connections
#   SECONDS, SEED, FROM make soak: how long, which faults, and the number of the first; SECONDS for make fuzz too
#   RDS_CA_BUNDLE       make package: AWS's certificates for RDS from this file, in place of npm's
#   STACK, BUCKET, PARAMETERS, YES=1, WITH=aws, WHILE_RUNNING=1
#                       make deploy: the stack's name, an S3 bucket for zips, the file with the parameters, without
#                       asking, without the SAM CLI, although recoveries run (docs/install.md)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

PROFILE ?= dev
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BIN := $(abspath $(TARGET_DIR))/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
LOCAL := $(BIN)/rewind-local
TOOLS := $(CURDIR)/.local/tools
# One set of packages for building and for testing: cargo then compiles what they share once.
CARGO_SET := --locked --workspace --profile $(PROFILE)
# Apart from the local build, which is for this machine and in another profile.
ARM64_TARGET_DIR ?= $(abspath $(TARGET_DIR))/arm64
STACK ?= aurora-rewind
PARAMETERS ?= infra/parameters.json
AUTHORITIES = $(if $(RDS_CA_BUNDLE),--authorities $(abspath $(RDS_CA_BUNDLE)))
WRITE_SBOM = python3 infra/sbom.py --root $(CURDIR) --out $(CURDIR)/$(SBOM) $(AUTHORITIES)
# The tests have a stack of their own beside the one that a person may be using.
TEST_STACK := $(CURDIR)/.local/test

.PHONY: help
help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: up ## A recovery on the local stack: a DELETE without WHERE, a restore, every write accounted for
	@$(LOCAL) demo

.PHONY: demo-backtrack
demo-backtrack: up ## The same in place, by Backtrack; then a rewind that a check rejects, rolled back
	@$(LOCAL) demo --in-place

.PHONY: up
up: build ## Start the local stack, or see that it is up (a fresh one each time; it keeps no data)
	@$(LOCAL) up --built

.PHONY: down
down: ## End every process of the local stack and remove its state; tools, logs and build stay
	@test -x $(LOCAL) || cargo build --quiet $(CARGO_SET) --bins
	@$(LOCAL) down

.PHONY: test
test: unit lint paths e2e ## Every test, of the fault matrix a part: unit, contract, lints of template and state machine, paths, end to end

.PHONY: check
check: format clippy test ## The whole gate: format, lints, every test

.PHONY: faults
faults: export REWIND_STACK_DIR := $(CURDIR)/.local/faults
faults: export PYTHONDONTWRITEBYTECODE := 1
faults: build ## Every state fails in every way on real databases, and a fence ends 500 sessions (more than an hour; PART=3/12: a part of that)
	@$(LOCAL) tools tests aws
	FENCE_SESSIONS=500 cargo test --quiet $(CARGO_SET) --test fence_size
	@trap '$(LOCAL) down' EXIT; \
	$(LOCAL) down; $(LOCAL) up --built; \
	$(TOOLS)/tests/bin/python $(PYTEST)/faults.xml tests/faults --numprocesses=4 --maxschedchunk=1 --part=$(or $(PART),1/1) $(if $(CUTOVERS),--cutovers=$(CUTOVERS)) $(if $(E2E),-k "$(E2E)")

.PHONY: soak
soak: export REWIND_STACK_DIR := $(CURDIR)/.local/faults
soak: export PYTHONDONTWRITEBYTECODE := 1
soak: build ## Faults drawn at random for SECONDS=600, from SEED=1; prints what repeats a failure
	@$(LOCAL) tools tests aws
	@trap '$(LOCAL) down' EXIT; \
	$(LOCAL) down; $(LOCAL) up --built; \
	$(TOOLS)/tests/bin/python tests/faults/soak.py --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1) --from $(or $(FROM),1)

.PHONY: fresh
fresh: ## The commands of the README in a clean Debian root, as root and as an ordinary user (made and entered by root)
	@local/tools/fresh

.PHONY: advisories
advisories: build ## What is known against the dependencies: reads the advisory database of RustSec from GitHub, which needs the network
	@$(LOCAL) tools deny
	$(DENY) check advisories

.PHONY: sbom
sbom: SBOM = target/sbom.cdx.json
sbom: needs ## What the functions and `rewind` are made of, as CycloneDX: target/sbom.cdx.json
	@$(WRITE_SBOM)

.PHONY: fuzz
fuzz: export PYTHONDONTWRITEBYTECODE := 1
fuzz: needs ## Input at random for SECONDS=300: what a database sends, Slack's door, requests, durations; prints the input that fails
	@python3 tests/tools/fuzz.py --seconds $(or $(SECONDS),300)

.PHONY: package
package: SBOM = target/lambda/sbom.cdx.json
package: build ## The functions for AWS: arm64 zips in target/lambda, as the template expects them, and beside them what they are made of
	@$(LOCAL) tools package
	@$(TOOLS)/package/bin/python infra/package.py --root $(CURDIR) --tools $(TOOLS) --target-dir $(ARM64_TARGET_DIR) $(AUTHORITIES)
	@$(WRITE_SBOM)

.PHONY: deploy
deploy: DEPLOY = $(TOOLS)/aws/bin/python infra/deploy.py --root $(CURDIR) --stack-name $(STACK) --parameters $(PARAMETERS) \
  --bucket "$(BUCKET)" $(if $(WITH),--with $(WITH)) $(if $(filter 1,$(YES)),--yes) \
  $(if $(filter 1,$(WHILE_RUNNING)),--while-running)
deploy: build ## To an AWS account: shows what would change, and asks (docs/install.md)
	@$(LOCAL) tools aws
	@$(DEPLOY) --check # before the minutes that packaging takes
	@$(MAKE) --no-print-directory package
	@$(DEPLOY)

# ---- the parts ----

.PHONY: needs build format clippy unit lint paths e2e
needs:
	@local/tools/needs

build: needs
	@cargo build --quiet $(CARGO_SET) --bins

format:
	cargo fmt --all --check

clippy: needs
	cargo clippy --locked --quiet --workspace --all-targets -- -D warnings

# The contract tests are among them.
unit: needs
	@if command -v cargo-nextest >/dev/null; then \
	  cargo nextest run --locked --workspace --cargo-profile $(PROFILE); cargo test --quiet $(CARGO_SET) --doc; \
	else \
	  cargo test --quiet $(CARGO_SET); \
	fi

# Each suite of Python runs in an environment of its own, and leaves a report in JUnit's format.
PYTEST := -m pytest --quiet --junitxml=$(CURDIR)/.local/reports
lint paths e2e: export PYTHONDONTWRITEBYTECODE := 1
DENY := $(TOOLS)/deny/bin/cargo-deny --locked

lint: build
	@$(LOCAL) tools lint audit deny
	cargo fetch --quiet --locked # the crates of other machines too, whose licences count
	$(DENY) --offline check licenses bans sources
	$(TOOLS)/lint/bin/cfn-lint infra/template.yaml
	$(TOOLS)/audit/bin/python local/tools/lint_template.py infra/template.yaml infra/lint.yaml
	$(TOOLS)/lint/bin/python local/tools/lint_models.py infra/template.yaml
	$(TOOLS)/lint/bin/python local/tools/lint_asl.py statemachine/*.asl.json
	$(TOOLS)/lint/bin/python $(PYTEST)/lint.xml tests/tools/test_programs.py tests/tools/test_commands.py tests/tools/test_sbom.py tests/tools/test_lint_asl.py tests/tools/test_lint_models.py tests/tools/test_fault_matrix.py
	$(TOOLS)/audit/bin/python $(PYTEST)/audit.xml tests/tools/test_lint_template.py

# The state machine on ministack with stand-in functions: every step and every undo fails in turn. What was evaluated on the
# way is evaluated again by the reference JSONata. Most of the time the tests wait: more of them than cores run side by side.
paths: EVALUATIONS = $(CURDIR)/.local/evaluations.jsonl
paths: build
	@$(LOCAL) tools tests ministack aws jsonata
	$(TOOLS)/ministack/bin/python $(PYTEST)/ministack.xml tests/tools/test_ministack_strict.py tests/tools/test_ministack_faults.py tests/tools/test_compromised_roles.py tests/tools/test_ministack_iam.py tests/tools/test_ministack_metering.py
	$(TOOLS)/tests/bin/python $(PYTEST)/paths.xml tests/paths --numprocesses=8 --maxschedchunk=1 --evaluations=$(EVALUATIONS)
	$(TOOLS)/ministack/bin/python $(PYTEST)/expressions.xml tests/expressions --evaluations=$(EVALUATIONS)
	$(TOOLS)/tests/bin/python $(PYTEST)/deploy.xml tests/tools/test_deploy.py tests/tools/test_phases.py

# How long the clients of very large clusters are away. A database of PostgreSQL is 7.5 MB on each of two clusters, and on each reader:
# 2,000 of them need 35 GB of disk.
.PHONY: tenants
tenants: export REWIND_STACK_DIR := $(TEST_STACK)
tenants: export REWIND_BINARIES := $(BIN)
tenants: export REWIND_TENANTS := $(or $(TENANTS),2000)
tenants: export REWIND_SESSIONS := $(or $(SESSIONS),500)
tenants: build ## A cutover of 2,000 databases with 500 sessions, on MySQL with 15 readers: how long clients are away
	@$(LOCAL) tools tests aws
	@trap '$(LOCAL) down' EXIT; \
	$(LOCAL) down; $(LOCAL) up --built; \
	REWIND_READERS=$(or $(READERS),15) $(TOOLS)/tests/bin/python $(PYTEST)/tenants-mysql.xml tests/e2e/test_tenants.py -rfEP -k mysql; \
	$(TOOLS)/tests/bin/python $(PYTEST)/tenants-postgresql.xml tests/e2e/test_tenants.py -rfEP -k postgresql

# Real clients, the real functions, real databases, on a stack that goes when the tests have ended, however they end.
# There the functions have only what the template's policies allow them. What was measured is printed, of passed tests too.
# Then the faults of RDS, some cutovers, and a part of the fault matrix, another one with each commit: all of it takes longer than everything
# else together.
e2e: export REWIND_STACK_DIR := $(TEST_STACK)
e2e: export REWIND_BINARIES := $(BIN)
e2e: build
	@$(LOCAL) tools tests aws
	@trap '$(LOCAL) down' EXIT; \
	$(LOCAL) down; $(LOCAL) up --built; \
	$(TOOLS)/tests/bin/python $(PYTEST)/rds.xml tests/rds --numprocesses=2 --dist=loadgroup; \
	$(TOOLS)/tests/bin/python $(PYTEST)/e2e.xml tests/e2e --numprocesses=4 -rfEP $(if $(E2E),-k "$(E2E)"); \
	if [ -z '$(E2E)' ]; then \
	  $(TOOLS)/tests/bin/python $(PYTEST)/faults.xml tests/faults --numprocesses=4 --maxschedchunk=1 --part=$(or $(PART),commit/16) --cutovers=16; \
	fi
