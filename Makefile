# `make` lists the targets: the text behind each ## is what it says.
# A build takes the processors gently (nice), so that the machine stays usable meanwhile.

SWIFT ?= swift
PIER  := .build/pier

# Where `make install` puts things; DESTDIR goes before all of it, for packagers.
PREFIX ?= /usr/local
DESTDIR ?=
BIN  := $(DESTDIR)$(PREFIX)/bin
SHARE := $(DESTDIR)$(PREFIX)/share
MAN  := $(SHARE)/man/man1
BASH_COMPLETIONS := $(SHARE)/bash-completion/completions
ZSH  := $(SHARE)/zsh/site-functions
FISH := $(SHARE)/fish/vendor_completions.d
VERBS := serve connect listen relay
RIVALS_IN_SWIFT := Benchmarks/rivals/swift/Package.swift Benchmarks/rivals/swift/Sources
BENCH_OPTIONS = $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(CASES),--cases $(CASES)) \
	$(if $(RIVALS),--rivals $(RIVALS)) $(if $(AGAINST),--against $(AGAINST))

.PHONY: help build test test-release test-races fuzz soak micro bench chart lint format release install uninstall clean

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

soak: release ## ten minutes (or SECONDS) of clients of every temper, and 5 000 that never read; memory must stay as stated
	Benchmarks/soak.py $(PIER) --seconds $(or $(SECONDS),600)
	Benchmarks/stalled.py $(PIER)

micro: ## count instructions, allocations and bytes; none may be a tenth above Benchmarks/micro/thresholds.tsv
	Benchmarks/micro/run

bench: release ## pier beside C and its rivals: ROUNDS (5) of SECONDS (1.5), all or some CASES and RIVALS
	Benchmarks/run $(PIER) $(BENCH_OPTIONS)

chart: ## draw the READMEs' chart from RESULTS (the newest file of all cases and rivals)
	Benchmarks/chart $(RESULTS)

lint: ## check the form of all sources; any finding is an error
	$(SWIFT) format lint --strict -r Sources Tests Snippets Fuzz Benchmarks/micro/Sources $(RIVALS_IN_SWIFT) Package.swift

format: ## bring all sources into that form
	$(SWIFT) format -i -r Sources Tests Snippets Fuzz Benchmarks/micro/Sources $(RIVALS_IN_SWIFT) Package.swift

release: ## make .build/pier: the command in one file, with the Swift runtime inside
	nice $(SWIFT) build -c release --product pier --static-swift-stdlib
	strip -o $(PIER) "$$($(SWIFT) build -c release --product pier --static-swift-stdlib --show-bin-path)/pier"
	@printf '%s: %s bytes\n' $(PIER) "$$(stat -c %s $(PIER))"

# What was released is installed as it is, so that who installs as root builds nothing.
$(PIER):
	$(MAKE) release

install: $(PIER) ## put pier, its manual pages and shell completions below PREFIX (default: /usr/local)
	mkdir -p '$(BIN)' '$(MAN)' '$(BASH_COMPLETIONS)' '$(ZSH)' '$(FISH)'
	install -m 755 '$(PIER)' '$(BIN)/pier'
	LC_ALL=C '$(PIER)' manual >'$(MAN)/pier.1'
	for verb in $(VERBS); do LC_ALL=C '$(PIER)' manual $$verb >'$(MAN)'/pier-$$verb.1 || exit 1; done
	LC_ALL=C '$(PIER)' --generate-completion-script bash >'$(BASH_COMPLETIONS)/pier'
	LC_ALL=C '$(PIER)' --generate-completion-script zsh >'$(ZSH)/_pier'
	LC_ALL=C '$(PIER)' --generate-completion-script fish >'$(FISH)/pier.fish'
	cd '$(SHARE)' && chmod 644 man/man1/pier.1 $(VERBS:%=man/man1/pier-%.1) \
		bash-completion/completions/pier zsh/site-functions/_pier fish/vendor_completions.d/pier.fish

uninstall: ## remove what `make install` put there
	rm -f '$(BIN)/pier' '$(MAN)/pier.1' $(VERBS:%='$(MAN)'/pier-%.1) \
		'$(BASH_COMPLETIONS)/pier' '$(ZSH)/_pier' '$(FISH)/pier.fish'

clean: ## remove all that was built
	rm -rf .build .build-*
