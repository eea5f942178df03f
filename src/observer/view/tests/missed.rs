//! What may be told by who did not look for a while, or missed something.

use super::*;

#[test]
fn what_was_missed_is_not_made_up() {
    // Two leaders that are not known of: the last is all there is to tell.
    let mut watcher = watching_a();
    watcher.awake(100);
    assert_eq!(
        watcher.later(10).finds(None, Held("c", 3)),
        ["c elected 3, somehow"]
    );
    // Another's release is not the release of the one that was known.
    assert_eq!(watcher.later(10).finds(None, Vacant(5)), ["no leader"]);
    assert_eq!(watcher.later(5000).tick(), NOTHING);
    // Who took what one had released may have lost it since.
    let mut watcher = watching_a();
    watcher.awake(100);
    assert_eq!(watcher.sees(Vacant(1)), ["1 released"]);
    assert_eq!(
        watcher.later(5000).finds(None, Held("c", 5)),
        ["c elected 5, somehow"]
    );
    // Silence for a lease is, whoever came in between.
    let mut watcher = watching_a();
    assert_eq!(
        watcher.awake(12_000).finds(None, Held("c", 3)),
        ["1 expired", "c elected 3, expired after 12s"]
    );
}

#[test]
fn who_did_not_look_for_a_while_measures_nothing() {
    // Frozen with the lid closed, say.
    let mut watcher = watching_a();
    let told = ["1 released", "b elected 2, vacant"];
    assert_eq!(
        watcher.later(5000).finds(Some(&[Vacant(1)]), Held("b", 2)),
        told
    );
    let told = ["2 died", "c elected 3, holder_died"];
    assert_eq!(watcher.later(3000).sees(Held("c", 3)), told);
    // Frozen when the next was elected, or when the holder died.
    watcher.awake(200);
    assert_eq!(watcher.later(50).sees(Vacant(3)), ["3 released"]);
    assert_eq!(
        watcher.later(5000).sees(Held("d", 4)),
        ["d elected 4, vacant"]
    );
    assert_eq!(watcher.later(5000).holder_dies(), ["4 died"]);
    watcher.awake(0);
    assert_eq!(
        watcher.later(5).sees(Held("e", 5)),
        ["e elected 5, holder_died"]
    );
}

#[test]
fn who_wakes_after_the_end_of_a_lease_tells_death_from_silence_no_more() {
    for between in [None, Some(&[][..])] {
        let mut watcher = watching_a();
        watcher.awake(100);
        let told = ["b elected 2, somehow"];
        assert_eq!(watcher.later(12_000).finds(between, Held("b", 2)), told);
    }
    // Nor who woke before it was over, and did not see when it began.
    let mut watcher = watching_a();
    watcher.later(8000).sees(Held("a", 1));
    watcher.awake(2000);
    let told = ["b elected 2, somehow"];
    assert_eq!(watcher.later(100).sees(Held("b", 2)), told);
    watcher.later(8000).sees(Held("b", 2));
    assert_eq!(watcher.awake(10_000).tick(), ["2 expired"]);
    let told = ["c elected 3, expired"];
    assert_eq!(watcher.later(100).sees(Held("c", 3)), told);
    watcher.later(8000).sees(Held("c", 3));
    watcher.awake(9500);
    let told = ["3 expired", "d elected 4, expired"];
    assert_eq!(watcher.later(100).sees(Held("d", 4)), told);
}

#[test]
fn who_cannot_look_knows_that_a_lease_is_over_and_no_more() {
    let mut watcher = watching_a();
    assert_eq!(watcher.later(10_000).tick(), ["1 expired"]);
    watcher.awake(0);
    let told = ["b elected 2, somehow"];
    assert_eq!(watcher.later(100).sees(Held("b", 2)), told);
}
