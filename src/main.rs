//! The `leader-demo` command: parse, log, run.

use std::process::ExitCode;

mod cli;
mod commands;
mod logging;

use cli::Command;
use leader_demo::store::ServerError;

fn main() -> ExitCode {
    if let Some(ended) = commands::run::assist() {
        return ended;
    }
    let (done, failed) = match cli::parse(std::env::args_os()) {
        Command::Demo(demo) => (commands::demo::run(demo).map(|()| 0), 1),
        Command::Check(check) => (commands::check::run(&check), 1),
        Command::HandOver(asked) => (commands::hand_over::run(asked), 1),
        Command::Doctor(doctor) => (commands::doctor::run(&doctor), 1),
        #[cfg(feature = "completions")]
        Command::Completions(asked) => (commands::completions::run(&asked).map(|()| 0), 1),
        #[cfg(feature = "completions")]
        Command::ManPages(asked) => (commands::man_pages::run(&asked).map(|()| 0), 1),
        // What cannot be read cannot be judged.
        Command::Judge(judge) => (commands::judge::run(&judge), 2),
        #[cfg(feature = "simulate")]
        Command::Simulate(asked) => (commands::simulate::run(&asked), 2),
        Command::Status(status) => (commands::status::run(&status), 1),
        Command::Watch(watch) => (commands::watch::run(&watch), 1),
        // What the command may say itself stays its own.
        Command::Run(run) => (commands::run::run(run), 125),
    };
    ExitCode::from(done.unwrap_or_else(|error| {
        logging::complain(format_args!("error: {error:#}"));
        match failed {
            // A URL that means nothing here is a usage error, found late.
            1 if error.is::<ServerError>() => 2,
            failed => failed,
        }
    }))
}
