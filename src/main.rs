//! The binary: allocator, TLS provider, command line.

use std::process::ExitCode;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Whoever asks rustls for a default gets this one; a second installation would be a bug elsewhere, and harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    searchgate::cli::run()
}
