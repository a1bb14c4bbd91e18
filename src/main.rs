//! Thin binary: everything lives in the library.

/// Short-lived buffers of a few hundred bytes are most of what the gateway allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    paravent::cli::main()
}
