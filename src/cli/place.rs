//! Where a lease is kept, and the URLs that say so, without showing passwords.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use leader_demo::store::{Server, ServerError};

/// What `--store` has no password for is looked for here.
pub(crate) const PASSWORD: &str = "LEADER_DEMO_STORE_PASSWORD";

/// Where a lease is kept.
#[derive(Debug)]
pub(crate) enum Place {
    Directory(Directory),
    Server(Server),
}

/// A lock directory, and for whom it is.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) dir: PathBuf,
    pub(crate) shared: bool,
}

/// As people see it: without a password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(Directory { dir, .. }) => write!(f, "file:{}", dir.display()),
            Self::Server(server) => server.fmt(f),
        }
    }
}

/// What `--store` says.
pub(super) enum StoreUrl {
    File(PathBuf),
    Server(Server),
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(dir) => write!(f, "file:{}", dir.display()),
            Self::Server(server) => server.fmt(f),
        }
    }
}

impl StoreUrl {
    /// A directory's name may be any bytes. What is wrong is said without the URL, in
    /// which a password may be.
    pub(super) fn parse(url: &OsStr) -> Result<Self, String> {
        if let Some(dir) = url.as_bytes().strip_prefix(b"file:") {
            return match dir {
                b"" => Err(
                    "--store file: names no directory: write file:DIR, for example file:/tmp"
                        .into(),
                ),
                dir => Ok(Self::File(OsStr::from_bytes(dir).into())),
            };
        }
        let text = url
            .to_str()
            .ok_or("--store has bytes in it that are no UTF-8")?;
        let server: Server = text.parse().map_err(|e| match e {
            ServerError::Malformed(why) if !text.contains("://") => {
                format!("--store: {why}, or file:DIR for a directory")
            }
            ServerError::UnknownScheme(_) => format!("--store: {e}, or file:DIR for a directory"),
            e => format!("--store: {e}"),
        })?;
        Ok(Self::Server(with_its_password(server)))
    }
}

/// That of the environment, if it has none.
pub(crate) fn with_its_password(server: Server) -> Server {
    match std::env::var(PASSWORD) {
        Ok(password) if server.password().is_none() => server.with_password(password),
        _ => server,
    }
}

/// Everybody may read the command line of a process. A password in it is moved into
/// the environment, which nobody else may, before anything is done: this process
/// begins anew, as the same one.
pub(super) fn hide_password(args: &[OsString]) {
    let Some((args, password)) = without_password(args) else {
        return;
    };
    let [name, rest @ ..] = &*args else { return };
    let exec = |program: &Path| {
        let mut command = Command::new(program);
        command.arg0(name).args(rest).env(PASSWORD, &password);
        command.exec()
    };
    // The first is what people know it by; it may have been removed or moved.
    let _ = std::env::current_exe().map(|program| exec(&program));
    let failed = exec(Path::new("/proc/self/exe"));
    crate::logging::complain(format_args!(
        "warning: the password in --store can be seen by all users of this machine ({failed}): \
         put it into {PASSWORD} instead"
    ));
}

/// The same command line, and what was taken out of it.
fn without_password(args: &[OsString]) -> Option<(Vec<OsString>, String)> {
    let end = args.iter().position(|arg| arg == "--");
    let mut args = args.to_vec();
    let mut found = None;
    let mut is_url = false;
    for arg in args.iter_mut().take(end.unwrap_or(usize::MAX)) {
        let text = arg.to_str().unwrap_or_default();
        let (flag, url) = match text.split_once('=') {
            Some((flag, url)) if !is_url => (Some(flag), url),
            _ => (None, text),
        };
        let is_store = |flag: &str| ["--store", "-store"].contains(&flag);
        if (is_url || flag.is_some_and(is_store))
            && let Ok(server) = url.parse::<Server>()
            && let Some(password) = server.password()
        {
            found = Some(password.to_owned());
            let shown = flag.map_or_else(|| server.to_string(), |flag| format!("{flag}={server}"));
            *arg = shown.into();
            is_url = false;
        } else {
            is_url = is_store(text);
        }
    }
    found.map(|password| (args, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_of_the_command_line_and_nothing_else_is() {
        let taken = |args: &[&str]| {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            let (args, password) = without_password(&args)?;
            let args: Vec<_> = args
                .into_iter()
                .map(|arg| arg.into_string().unwrap())
                .collect();
            Some((args.join(" "), password))
        };
        for (args, expected) in [
            (
                &["x", "--store", "redis://:s@h"][..],
                Some("x --store redis://h:6379"),
            ),
            (
                &["x", "-store=redis://:s@h", "--json"],
                Some("x -store=redis://h:6379 --json"),
            ),
            (
                &["x", "run", "--store=etcd://u:s@h/p?cert=c", "--", "y"],
                Some("x run --store=etcd://u@h:2379/p?cert=c -- y"),
            ),
            (&["x", "run", "--", "y", "--store", "redis://:s@h"], None),
            (&["x", "--node-id", "redis://:s@h"], None),
            (&["x", "--store", "redis://h"], None),
            (&["x", "--store", "file:a:b@c"], None),
        ] {
            let expected = expected.map(|args| (args.to_owned(), "s".to_owned()));
            assert_eq!(taken(args), expected, "{args:?}");
        }
    }
}
