//! Filesystems of our own, where this machine lets us mount them.

use std::ffi::CString;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::{NamedTempFile, TempDir};

use super::skip;

/// Where the files are that fill a disk.
const FILLERS: &str = "fillers";

/// A mounted filesystem, gone at the end.
pub struct Mounted {
    at: TempDir,
    /// Filesystems and files that it rests on.
    _below: Vec<Box<dyn std::any::Any>>,
}

impl Mounted {
    pub fn path(&self) -> &Path {
        self.at.path()
    }

    pub fn tmpfs(options: &str) -> Option<Self> {
        Self::mount("tmpfs", options, Vec::new())
    }

    /// A container's kind: a layer over another.
    pub fn overlay() -> Option<Self> {
        // An overlay cannot lie on an overlay, which this machine's root may be.
        let layers = Self::tmpfs("mode=0755")?;
        let dir = |name: &str| {
            let path = layers.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path.display().to_string()
        };
        let (lower, upper, work) = (dir("lower"), dir("upper"), dir("work"));
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        Self::mount("overlay", &options, vec![Box::new(layers)])
    }

    /// From here on, it has room for no more names, and no more bytes.
    pub fn fill(&self) {
        use std::io::Write;
        let fillers = self.path().join(FILLERS);
        std::fs::create_dir(&fillers).unwrap();
        let mut file = File::create(fillers.join("bytes")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let mut names = (0..).map(|n| fillers.join(n.to_string()));
        while names.next().is_some_and(|name| File::create(name).is_ok()) {}
    }

    /// And now it has again.
    pub fn make_room(&self) {
        std::fs::remove_dir_all(self.path().join(FILLERS)).unwrap();
    }

    /// From here on, nobody may write to it.
    pub fn read_only(&self) {
        let flags = MountFlags::RDONLY;
        rustix::mount::mount_remount(self.path(), flags, "").unwrap();
    }

    fn mount(kind: &str, options: &str, below: Vec<Box<dyn std::any::Any>>) -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let data = CString::new(options).unwrap();
        match mount(kind, at.path(), kind, MountFlags::empty(), data.as_c_str()) {
            Ok(()) => Some(Self { at, _below: below }),
            Err(e) => {
                skip(&format!("cannot mount {kind} here: {e}"));
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}

/// A disk of our own that can stall, where this machine can make and mount one.
pub struct Disk {
    mounted: TempDir,
    _image: NamedTempFile,
}

impl Disk {
    pub fn mount() -> Option<Self> {
        let image = NamedTempFile::new().unwrap();
        image.as_file().set_len(16 << 20).unwrap();
        let mounted = tempfile::tempdir().unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(image.path()))?;
        let at = [image.path(), mounted.path()];
        run(Command::new("mount").args(["-o", "loop"]).args(at))?;
        let disk = Self {
            mounted,
            _image: image,
        };
        for way in ["-f", "-u"] {
            run(Command::new("fsfreeze").arg(way).arg(disk.path()))?;
        }
        Some(disk)
    }

    pub fn path(&self) -> &Path {
        self.mounted.path()
    }

    /// Whoever writes to it waits until this is dropped, and cannot even be killed.
    pub fn stall(&self) -> Stalled<'_> {
        run(Command::new("fsfreeze").arg("-f").arg(self.path())).unwrap();
        Stalled(self)
    }
}

pub struct Stalled<'a>(&'a Disk);

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze")
            .arg("-u")
            .arg(self.0.path())
            .output();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// An exFAT filesystem in a file, where this machine can make and mount one.
pub struct Fat {
    mounted: TempDir,
    device: String,
    _image: NamedTempFile,
}

impl Fat {
    pub fn mount() -> Option<Self> {
        let image = NamedTempFile::new().unwrap();
        image.as_file().set_len(64 << 20).unwrap();
        let mounted = tempfile::tempdir().unwrap();
        run(Command::new("mkfs.exfat").arg(image.path()))?;
        let device = run(Command::new("losetup")
            .args(["-f", "--show"])
            .arg(image.path()))?;
        let fat = Self {
            mounted,
            device: device.trim().to_owned(),
            _image: image,
        };
        let mount = ["-o", "umask=077", &fat.device];
        run(Command::new("mount.exfat-fuse")
            .args(mount)
            .arg(fat.mounted.path()))?;
        Some(fat)
    }

    pub fn path(&self) -> &Path {
        self.mounted.path()
    }
}

/// What it printed; none, and a word why, where that cannot be done here.
fn run(command: &mut Command) -> Option<String> {
    match command.output() {
        Ok(output) if output.status.success() => Some(String::from_utf8(output.stdout).unwrap()),
        failed => {
            skip(&format!(
                "no filesystem of one's own here: {command:?}: {failed:?}"
            ));
            None
        }
    }
}

impl Drop for Fat {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.mounted.path()).output();
        let _ = Command::new("losetup").args(["-d", &self.device]).output();
    }
}
