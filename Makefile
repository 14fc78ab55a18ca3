# `make` lists the targets: the text behind each ## is what it says.
# A build takes the processors gently (nice), so that the machine stays usable meanwhile.

SWIFT ?= swift
PIER  := .build/pier

.PHONY: help build test test-release test-races fuzz lint format release clean

help: ## list the targets (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build everything for debugging, the snippets too
	nice $(SWIFT) build

test: ## build and run the tests
	nice $(SWIFT) test

test-release: ## the same tests, optimized
	nice $(SWIFT) test -c release -Xswiftc -enable-testing --scratch-path .build-release-tests

test-races: ## the same tests under the thread sanitizer
	SWIFT_BACKTRACE=enable=no nice $(SWIFT) test --sanitize=thread --scratch-path .build-races

fuzz: ## run each fuzzer for SECONDS (60)
	Fuzz/run $(or $(SECONDS),60)

lint: ## check the form of all sources; any finding is an error
	$(SWIFT) format lint --strict -r Sources Tests Snippets Fuzz Package.swift

format: ## bring all sources into that form
	$(SWIFT) format -i -r Sources Tests Snippets Fuzz Package.swift

release: ## make .build/pier: the command in one file, with the Swift runtime inside
	nice $(SWIFT) build -c release --product pier --static-swift-stdlib
	strip -o $(PIER) "$$($(SWIFT) build -c release --product pier --static-swift-stdlib --show-bin-path)/pier"
	@printf '%s: %s bytes\n' $(PIER) "$$(stat -c %s $(PIER))"

clean: ## remove all that was built
	rm -rf .build .build-*
