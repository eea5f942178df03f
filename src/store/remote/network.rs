//! What errors of the network mean, and what would help.

use std::io;

use crate::store::StoreError;

/// No connection, or one that is no more. All of it may pass.
pub(in crate::store) fn trouble(error: &io::Error) -> StoreError {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    let said = error.to_string();
    StoreError::new(match error.kind() {
        ConnectionRefused => {
            "nobody listens there: is it running, and does --store have its address?".into()
        }
        // A socket has a path.
        NotFound => format!(
            "there is no socket ({said}): is it running, and does --store have its address?"
        ),
        _ if is_closed(error) => "it closed the connection: is it restarting?".into(),
        // std has no kind for it.
        _ if said.contains("lookup address") => {
            format!("that name has no address ({said}): is it what --store should say?")
        }
        _ => format!("{said}: is there a way to it through the network?"),
    })
}

/// Whether the other end closed the connection. With something unread there, that is a
/// reset: to one who had not read all that was sent, and to one who then sent more.
pub(in crate::store) fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}
