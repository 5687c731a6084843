# Postroom: every task has one name. Scripts that a line can't hold lie in build/.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help demo test wasm server webapp dist bundle bench soak lint fuzz golden clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: bundle ## a real Mattermost, a forgotten password, from request to login; DEMO=keep leaves it running
	build/mattermost.sh
	cd e2e && go build -mod=readonly -o ../.build/demo ./cmd/demo
	.build/demo

test: ## everything: Rust, contract, webapp, Go, bundle, e2e, browser (SECTIONS="rust server" for some)
	build/test.sh $(SECTIONS)

wasm: ## the core as .build/core.wasm and for the browser
	build/wasm.sh

server: wasm ## the plugin's executable for this machine
	cd server && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o ../.build/plugin .

webapp: wasm ## the web app: built, tested
	build/webapp.sh
	cd webapp && npm test

bundle:
	build/wasm.sh host
	build/bundle.py --host-only

dist: wasm ## dist/postroom-<version>.tar.gz for every platform, checked
	build/bundle.py
	build/check-bundle.py dist/postroom-*.tar.gz

bench: bundle ## the measurements, side by side with Mattermost's own code
	build/mattermost.sh
	bench/run.sh

soak: bundle ## 200 rounds of crashes on a real Mattermost, each mail accounted for; SOAK_ROUNDS, CRASH_SEED
	build/mattermost.sh
	cd e2e && SOAK_ROUNDS=$${SOAK_ROUNDS:-200} go test -mod=readonly -count=1 -v -timeout 4h -run 'TestCrashes$$' ./specs

lint: ## rustfmt, clippy, gofmt, go vet, staticcheck, eslint, tsc
	build/lint.sh

fuzz: ## each fuzz target for a minute
	build/fuzz.sh

golden: ## writes the golden files anew
	UPDATE_GOLDEN=1 cargo test --workspace --quiet

clean: ## removes what was built
	rm -rf .build dist target webapp/node_modules e2e/browser/node_modules e2e/.out bench/.out
