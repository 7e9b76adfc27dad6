//! `ibouncer completions SHELL`: a script for the shell, on stdout.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(crate) fn run(shell: Shell, output: &mut Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "ibouncer", &mut script);
    output.raw(&script)?;
    Ok(Exit::Good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::on_paper;

    #[test]
    fn completions_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let (mut output, out, _) = on_paper(false);
            run(shell, &mut output).unwrap();
            assert!(out.text().contains("wait-ready"), "{shell}");
        }
    }
}
