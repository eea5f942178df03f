//! What the wrapper, the guard and the starter say to each other: one message a
//! packet, with descriptors, over a socket whose end says that the other died.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// From the wrapper to the guard.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Start the starter. The descriptors are the alarms: when to stop the
    /// command, and when to kill it; and the wrapper's own process, if it can be held.
    Prepare,
    /// The lease is held: let the starter become the command. The first
    /// descriptor is its stdin; the others say to others that it lives.
    Lead { term: u64 },
    /// Pass this signal on to the command, or to all that it started.
    Signal { signal: i32, all: bool },
    /// Kill everything.
    Kill,
}

/// From the guard to the wrapper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The process that is, or will be, the command.
    Ready { pid: i32 },
    /// An alarm rang: the command is being stopped.
    Stopping,
    /// It may not signal this process, which another user's program became.
    Denied { pid: i32 },
    /// The command has ended, as a shell would put it in a number.
    /// Whether it had been passed a signal for all before.
    Ended { status: u8, told: bool },
    /// So has all that it started.
    Gone,
}

/// From the guard to the starter: become the command. The first descriptor is
/// its stdin, the others are for it to inherit.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Go {
    pub(super) term: u64,
}

/// The longest message is a few dozen bytes.
const LONGEST: usize = 256;

/// More descriptors than any message has.
const DESCRIPTORS: usize = 4;

/// Two ends of a new connection.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Never waits: an end that does not read is not worth waiting for, and these
/// few messages always fit.
pub(super) fn send(
    to: impl AsFd,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(fits, "no message has so many");
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(to, &[IoSlice::new(&bytes)], &mut control, flags)?;
    Ok(())
}

/// The next message and what came with it; none once the other end has closed.
/// Waits unless the socket is [`asynchronous`].
pub(super) fn receive<T: DeserializeOwned>(
    from: impl AsFd,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = [0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut into = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(&from, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            // The other end was closed with something of ours unread. The kernel
            // says so once, and before the last words that came from there.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            received => break received?.bytes,
        }
    };
    if received == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(&bytes[..received])?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok(Some((message, rights.flatten().collect())))
}

/// For the runtime to wait on.
pub(super) fn asynchronous<T: AsFd + AsRawFd>(fd: T) -> io::Result<AsyncFd<T>> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    // Deprecated for descriptors that somebody else may close; what is passed
    // here owns its own, and the replacement is `unsafe`, which is forbidden.
    #[allow(deprecated)]
    AsyncFd::with_interest(fd, Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_one_that_left_something_unread_are_heard() {
        let (ours, theirs) = pair().unwrap();
        send(&ours, &Order::Kill, &[]).unwrap();
        send(&theirs, &Report::Gone, &[]).unwrap();
        drop(theirs);
        let report = receive(&ours).unwrap();
        assert!(matches!(report, Some((Report::Gone, _))), "{report:?}");
        assert!(receive::<Report>(&ours).unwrap().is_none());
    }
}
