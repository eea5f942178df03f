//! Rules of the file store, broken on purpose: each must be caught.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// A linked number is success, whatever was cleaned up meanwhile.
    NoLookAgain,
    /// Looking again, nobody asks whether the new number is the highest,
    HighestNotAsked,
    /// .. whether it is the own claim's,
    OwnNotAsked,
    /// .. whether what was read is still there,
    ExpectedNotAsked,
    /// .. whether the directory is still the one at the path.
    NotStillThere,
    /// What is taken back is whatever has that number by now.
    UndoneBlindly,
    /// Who failed to link the next number takes the one after it.
    NoCompareAndSwap,
    /// Clean-up takes the new revision, too.
    CleanUpTooGreedy,
    /// A claim is removed without a look at its lock.
    CollectorIgnoresLocks,
    /// A claim of another machine is removed, as its lock looks free.
    CollectorTakesForeignClaims,
    /// The lock of a claim of another machine is believed.
    ForeignLockBelieved,
    /// A claim gets its number first, and is locked then.
    NamedBeforeLocked,
    /// A claim gets its number first, and is written then.
    NamedBeforeWritten,
    /// Nobody asks whether a claim whose lock is free is still the record.
    WakeUpBelieved,
    /// Any record there is will do.
    AnyRecordBelieved,
    /// A claim's content may be lost in a power failure.
    ClaimNotSynced,
    /// A term's first number may be lost in a power failure.
    DirectoryNotSynced,
    /// A sync of the directory that failed is success.
    FailedSyncIgnored,
    /// A claim whose sync failed is linked all the same, the next time.
    BurntClaimUsed,
    /// On a full disk the current revision gives up its name, too.
    GivesUpTheCurrent,
    /// .. or the one before it does.
    GivesUpTheOneBefore,
    /// The numbers are listed in two calls.
    ListedInTwoCalls,
    /// Who swaps waits until nobody else does, as behind a lock.
    OneAtATime,
}
