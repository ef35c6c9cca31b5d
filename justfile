# What CI runs, by name. `just` itself comes with scripts/tools.

export PATH := shell('scripts/tools') + ":" + env('PATH')

# All that CI runs, in its order.
ci: fmt clippy doc deny test otel

fmt:
    cargo fmt --check

clippy:
    cargo clippy --locked --all-targets -- -D warnings
    cargo clippy --locked --all-targets --features jemalloc,otel -- -D warnings

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

deny:
    cargo deny --locked check --hide-inclusion-graph bans licenses sources

test *options:
    scripts/test {{options}}

otel:
    cargo test --locked --features otel --lib telemetry::otlp

bench *options:
    scripts/bench {{options}}

demo:
    cargo run --release -- demo
