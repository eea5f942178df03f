//! The terminal: taken over, drawn on, and given back as it was.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use rustix::fs::OFlags;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::asynchronous;
use super::keys::{self, Key};

mod ansi;

/// Another screen, without cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[0m\x1b[2J";
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// How long a terminal that takes no output may keep us.
const PATIENCE: Duration = Duration::from_millis(350);

/// What is drawn, and what of that the terminal has not taken yet.
pub(super) struct Screen {
    fd: Rc<AsyncFd<File>>,
    tty: Arc<Tty>,
    shown: Buffer,
    unwritten: Vec<u8>,
}

/// What is typed.
pub(super) struct Keys(Rc<AsyncFd<File>>);

/// Takes over the terminal that stdout is. From now on even a panic gives it back.
pub(super) fn take() -> io::Result<(Screen, Keys)> {
    // A description of its own: the shell's must not become non-blocking. After
    // su(1) only the other name may be opened.
    let open = |path| {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let mut options = File::options();
        options.read(true).write(true);
        options.custom_flags(flags.bits() as i32).open(path)
    };
    let file = open("/proc/self/fd/1").or_else(|_| open("/dev/tty"))?;
    let tty = Arc::new(Tty {
        file: file.try_clone()?,
        before: Mutex::new(None),
    });
    let (ours, report) = (tty.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        ours.give_back();
        report(panic);
    }));
    let fd = Rc::new(asynchronous(file, Interest::READABLE | Interest::WRITABLE)?);
    let mut screen = Screen {
        fd: fd.clone(),
        tty,
        shown: Buffer::default(),
        unwritten: Vec::new(),
    };
    screen.enter()?;
    Ok((screen, Keys(fd)))
}

impl Screen {
    /// Takes the terminal over, again after it was given back.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        self.tty.make_raw()?;
        self.unwritten.extend(ENTER.bytes());
        self.shown = Buffer::default();
        Ok(())
    }

    /// Whether the terminal has taken all that was drawn.
    pub(super) fn is_idle(&self) -> bool {
        self.unwritten.is_empty()
    }

    /// Draws what has changed. What is not written yet is written first.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Buffer)) {
        let area = self.area();
        if area != self.shown.area {
            self.unwritten.extend(b"\x1b[0m\x1b[2J");
            self.shown = Buffer::empty(area);
        }
        let mut next = Buffer::empty(area);
        draw(&mut next);
        ansi::write(&mut self.unwritten, &self.shown.diff(&next));
        self.shown = next;
    }

    fn area(&self) -> Rect {
        match tcgetwinsize(&self.tty.file) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                Rect::new(0, 0, size.ws_col, size.ws_row)
            }
            // Some terminals do not know.
            _ => Rect::new(0, 0, 80, 24),
        }
    }

    /// Writes what is unwritten. May be dropped and called again.
    pub(super) async fn write(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            let mut ready = self.fd.writable().await?;
            if let Ok(written) = ready.try_io(|fd| fd.get_ref().write(&self.unwritten)) {
                self.unwritten.drain(..written?);
            }
        }
        Ok(())
    }

    /// Gives the terminal back, and says something there.
    pub(super) async fn leave(&mut self, last_words: &str) {
        self.unwritten.extend(LEAVE.bytes());
        self.unwritten.extend(last_words.bytes());
        let _ = tokio::time::timeout(PATIENCE, self.write()).await;
        self.unwritten.clear();
        self.tty.restore_modes();
    }
}

impl Keys {
    /// What was typed; none when the terminal is gone.
    pub(super) async fn next(&self) -> io::Result<Option<Vec<Key>>> {
        let mut typed = [0; 256];
        loop {
            let mut ready = self.0.readable().await?;
            match ready.try_io(|fd| fd.get_ref().read(&mut typed)) {
                Ok(Ok(0)) => return Ok(None),
                Ok(Ok(length)) => return Ok(Some(keys::keys(&typed[..length]))),
                Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(e)) => return Err(e),
                Err(_) => {}
            }
        }
    }
}

/// What a panic has to put right, in whichever thread it happens.
struct Tty {
    file: File,
    /// How it was set before; none while it is.
    before: Mutex<Option<Termios>>,
}

impl Tty {
    fn make_raw(&self) -> io::Result<()> {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let mut modes = match &*before {
            Some(modes) => modes.clone(),
            None => tcgetattr(&self.file)?,
        };
        before.get_or_insert_with(|| modes.clone());
        modes.make_raw();
        tcsetattr(&self.file, OptionalActions::Now, &modes)?;
        Ok(())
    }

    /// Whether there was something to restore.
    fn restore_modes(&self) -> bool {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        match before.take() {
            Some(modes) => tcsetattr(&self.file, OptionalActions::Now, &modes).is_ok(),
            None => false,
        }
    }

    fn give_back(&self) {
        if self.restore_modes() {
            let _ = (&self.file).write_all(LEAVE.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// A terminal that is taken over, drawn on, and left to the panic's hook alone.
    #[test]
    #[ignore = "the test below runs it, in a terminal"]
    fn panics() {
        let taken_over = async {
            let (mut screen, keys) = take().unwrap();
            screen.draw(|buf| {
                buf.set_string(0, 0, "drawn", ratatui_core::style::Style::new());
            });
            screen.write().await.unwrap();
            std::mem::forget((screen, keys));
            panic!("at the worst moment");
        };
        crate::commands::runtime().unwrap().block_on(taken_over);
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        let (_, here) = module_path!().split_once("::").unwrap();
        let program = std::env::current_exe().unwrap();
        let panics = format!(
            "{} --ignored --exact --nocapture {here}::panics",
            program.display()
        );
        let output = Command::new("script")
            .args(["-qec", &format!("stty -g; {panics}; stty -g"), "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let place = |what: &str| {
            said.find(what)
                .unwrap_or_else(|| panic!("{what:?} in {said:?}"))
        };
        let order = [ENTER, "drawn", LEAVE, "at the worst moment"].map(place);
        assert!(order.is_sorted(), "{said:?}");
        let modes = |line: &&str| {
            let digits = |part: &str| u64::from_str_radix(part, 16).is_ok();
            line.contains(':') && line.split(':').all(digits)
        };
        let modes: Vec<_> = said.lines().map(str::trim).filter(modes).collect();
        assert_eq!(modes.len(), 2, "{said:?}");
        assert_eq!(modes[0], modes[1]);
    }
}
