//! The names that people give: of nodes and of elections.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Most characters in a node id or lock name: with what a store adds to it, it
/// still fits a file name (255 bytes).
pub const MAX_NAME_LEN: usize = 128;

/// Why a [`NodeId`] or [`LockName`] was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty.
    #[error("is empty: use 1 to {MAX_NAME_LEN} letters, digits, '.', '_' and '-'")]
    Empty,
    /// It has more than [`MAX_NAME_LEN`] characters.
    #[error("has {0} characters: use at most {MAX_NAME_LEN}")]
    TooLong(usize),
    /// It starts with a dot.
    #[error("starts with a dot: start with a letter, a digit, '_' or '-'")]
    LeadingDot,
    /// It holds a character that could mean something to a path or a terminal.
    #[error("contains {0:?}: use only letters, digits, '.', '_' and '-'")]
    Character(char),
}

/// The one rule for all names, checked before any I/O.
fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(c) = name.chars().find(|c| !allowed(c)) {
        return Err(NameError::Character(c));
    }
    if name.len() > MAX_NAME_LEN {
        return Err(NameError::TooLong(name.len()));
    }
    if name.starts_with('.') {
        return Err(NameError::LeadingDot);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the name: 1 to [`MAX_NAME_LEN`] of `A-Z a-z 0-9 . _ -`,
            /// not starting with a dot.
            ///
            /// # Errors
            /// [`NameError`] says which of these it breaks.
            pub fn new(name: &str) -> Result<Self, NameError> {
                check_name(name)?;
                Ok(Self(name.into()))
            }

            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(&name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name! {
    /// The name of a node, for people: ownership is by [`SessionId`](crate::SessionId).
    NodeId
}
name! {
    /// The name of an election within a store.
    LockName
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        let long = "x".repeat(MAX_NAME_LEN + 1);
        let cases = [
            ("node-1", Ok(())),
            ("A.b_c-9", Ok(())),
            ("-dash", Ok(())),
            (&long[1..], Ok(())),
            ("", Err(NameError::Empty)),
            (&long, Err(NameError::TooLong(MAX_NAME_LEN + 1))),
            ("..", Err(NameError::LeadingDot)),
            (".hidden", Err(NameError::LeadingDot)),
            ("a/b", Err(NameError::Character('/'))),
            ("../x", Err(NameError::Character('/'))),
            ("a b", Err(NameError::Character(' '))),
            ("a\nb", Err(NameError::Character('\n'))),
            ("a\0", Err(NameError::Character('\0'))),
            ("\u{1b}[2J", Err(NameError::Character('\u{1b}'))),
            ("näh", Err(NameError::Character('ä'))),
        ];
        for (name, expected) in cases {
            assert_eq!(NodeId::new(name).map(drop), expected, "{name:?}");
            assert_eq!(LockName::new(name).map(drop), expected, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_refused_or_safe_in_a_path(name in ".*") {
            if LockName::new(&name).is_ok() {
                let ok = !name.contains(['/', '\0', ' ']) && name != "." && name != "..";
                prop_assert!(ok, "{:?}", name);
            }
        }
    }
}
