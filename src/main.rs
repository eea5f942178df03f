//! The `leader-demo` command: parse, log, run.

use std::process::ExitCode;

mod cli;
mod commands;
mod logging;

fn main() -> ExitCode {
    let demo = cli::parse(std::env::args_os());
    logging::init(demo.log_format, &demo.log_level);
    match commands::demo::run(demo) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
