# The front door: each target is one line into a deno task or a script under tools/. No logic lives here.

DENO ?= tools/deno
TARGET ?=
PREFIX ?= /usr/local
DESTDIR ?=
export TARGET PREFIX DESTDIR

.DEFAULT_GOAL := help
.PHONY: help run test ok e2e chaos gpu bench gen build clean install uninstall

help: ## Say what can be asked for
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build, start a private agent with example pods, show them; Ctrl-C leaves the machine as it was
	@tools/setup.sh run && $(DENO) task run

test: ## Everything that can be tested here, summed up in one line (what CI runs)
	@tools/setup.sh e2e && $(DENO) task test

ok: ## Quick and without a runtime: format, lint, types, layers, generated code, unit tests
	@$(DENO) task ok

e2e: ## The built binary against a real containerd
	@tools/setup.sh e2e && $(DENO) task e2e

chaos: ## Hundreds of kill -9 while manifests change; nothing may be lost or left behind
	@tools/setup.sh e2e && $(DENO) task chaos

gpu: ## Pods on the NVIDIA GPUs of this machine (needs their driver, and a C compiler)
	@tools/setup.sh gpu && $(DENO) task gpu

bench: ## The agent beside its peers: times, memory, CPU, disk writes
	@tools/setup.sh bench && $(DENO) task bench

gen: ## Write the generated code anew (schema, protocols, pause program)
	@$(DENO) task gen

build: ## dist/agent, one executable file; TARGET=aarch64-unknown-linux-gnu builds for another machine
	@$(DENO) task build

clean: ## Remove what the other targets made here
	@tools/clean.sh

install: ## Install dist/agent and its systemd unit (PREFIX=/usr/local, DESTDIR=)
	@tools/install.sh install

uninstall: ## Remove them again; manifests, pods and volumes stay
	@tools/install.sh uninstall
