//! The binary; everything is in the library, so that another package's test binary is the same
//! program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ibouncer_cli::main()
}
