//! The binary under test: the command line, built by this package so that it is never stale.

fn main() -> std::process::ExitCode {
    ibouncer_cli::main()
}
