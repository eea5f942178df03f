//! The rules as cases: each says what happens to a node, and all that it does.

use super::*;
use script::*;

mod properties;
mod script;

#[test]
fn rule_1_at_most_one_call_is_in_flight() {
    candidate()
        .at(1.0)
        .wakes()
        .does("")
        .at(2.0)
        .ticks()
        .does("")
        // It might take the record now, but for the look under way.
        .holder_dies(seen(7, held(B, 3)))
        .does("")
        .reads(seen(8, vacant(3)))
        .does("watch 8; swap 8 -> A holds 4")
        .wakes()
        .does("")
        .due_at(8.0);
}

#[test]
fn rule_2_the_leader_counts_from_when_it_asked() {
    candidate()
        .at(1.0)
        .reads(None)
        .does("swap none -> A holds 1")
        .at(4.0)
        .swapped(1)
        .does("elected 1 (Vacant) until 7s; swap 1 -> A holds 1")
        .at(6.5)
        .swapped(2)
        .does("swap 2 -> A holds 1")
        // Asked for at 4 s.
        .at(9.5)
        .leads(1)
        .at(10.0)
        .ticks()
        .does("revoked 1 (RenewDeadline) at 10s; watch 2; no leader");
}

#[test]
fn rule_2_a_leader_renews_once_every_retry_period() {
    leader()
        .due_at(2.0)
        .at(2.0)
        .ticks()
        .does("swap 1 -> A holds 1")
        .at(2.5)
        .swapped(2)
        .does("")
        .due_at(4.0);
}

#[test]
fn rule_3_a_candidate_counts_from_when_it_received_by_the_records_lease_not_its_own() {
    for lease in [3, 20] {
        let secs = 0.5 + lease as f64;
        candidate()
            .at(0.5)
            .reads(seen(7, lasting(lease, held(B, 3))))
            .does("watch 7; new leader B 3")
            .all_is_well_until(secs)
            .ticks()
            .does("swap 7 -> A holds 4; no leader");
    }
}

#[test]
fn rule_3_only_a_revision_not_seen_before_starts_the_stopwatch_anew() {
    candidate()
        .reads(seen(7, held(B, 3)))
        .does("watch 7; new leader B 3")
        .at(2.0)
        .ticks()
        .does("read")
        .at(3.0)
        .reads(seen(8, held(B, 3)))
        .does("watch 8; prepare A holds 4")
        .all_is_well_until(13.0)
        .ticks()
        .does("swap 8 -> A holds 4; no leader")
        .swapped(9)
        .does("elected 4 (Expired) until 19s");
}

#[test]
fn rule_3_a_conflict_is_a_sight_like_any_other() {
    candidate()
        .reads(seen(7, vacant(3)))
        .does("watch 7; swap 7 -> A holds 4")
        .at(1.0)
        .conflicts(seen(8, held(B, 4)))
        .does("watch 8; new leader B 4")
        .all_is_well_until(11.0)
        .ticks()
        .does("swap 8 -> A holds 5; no leader");
}

#[test]
fn rule_4_a_vacant_record_may_be_taken_at_once() {
    candidate()
        .reads(seen(7, vacant(3)))
        .does("watch 7; swap 7 -> A holds 4")
        .swapped(8)
        .does("elected 4 (Vacant) until 6s");
}

#[test]
fn rule_4_vacant_with_anothers_successor_only_after_its_lease() {
    candidate()
        .reads(seen(7, vacant_for(B, 3)))
        .does("watch 7")
        .all_is_well_until(10.0)
        .ticks()
        .does("swap 7 -> A holds 4")
        .swapped(8)
        .does("elected 4 (Expired) until 16s");
}

#[test]
fn rule_4_the_named_successor_takes_it_at_once_even_while_it_stays_out() {
    leader()
        .should_end(Ending::Resigned)
        .does("")
        .work_stops()
        .does("revoked 1 (Resigned) at 0s; swap 1 -> vacant 1; no leader")
        .swapped(2)
        .does("watch 2")
        .at(1.0)
        .wakes()
        .does("read")
        .reads(seen(4, vacant_for(A, 2)))
        .does("watch 4; swap 4 -> A holds 3")
        .swapped(5)
        .does("elected 3 (HandedOver) until 7s");
}

#[test]
fn rule_4_whose_holder_died_may_be_taken_at_once() {
    candidate()
        .reads(seen(7, held(B, 3)))
        .does("watch 7; new leader B 3")
        .at(1.0)
        // It had renewed since.
        .holder_dies(seen(9, held(B, 3)))
        .does("swap 9 -> A holds 4; no leader")
        .swapped(10)
        .does("elected 4 (HolderDied) until 7s");
}

#[test]
fn rule_4_what_a_wake_up_shows_to_be_vacant_is_taken_without_another_look() {
    candidate()
        .reads(seen(7, held(B, 3)))
        .does("watch 7; new leader B 3")
        .at(1.0)
        .wakes_to(seen(8, vacant(3)))
        .does("watch 8; swap 8 -> A holds 4; no leader");
}

#[test]
fn rule_4_what_was_given_back_is_vacant_also_when_who_gave_it_back_has_died() {
    candidate()
        .at(1.0)
        .reads(seen(7, held(B, 3)))
        .does("watch 7; new leader B 3")
        .holder_dies(seen(8, vacant(3)))
        .does("swap 8 -> A holds 4; no leader")
        .swapped(9)
        .does("elected 4 (Vacant) until 7s");
}

#[test]
fn rule_4_a_leader_is_not_moved_by_word_of_a_death() {
    leader()
        .at(1.0)
        .holder_dies(seen(9, held(B, 3)))
        .does("")
        .leads(1);
}

#[test]
fn rule_4_vanished_is_not_vacant() {
    candidate()
        .reads(seen(7, lasting(20, held(B, 3))))
        .does("watch 7; new leader B 3")
        .at(2.0)
        .ticks()
        .does("read")
        .reads(None)
        .does(
            "warning: the lease record has vanished: waiting 20s before making a new one, \
             a thousand terms on; \
             no leader",
        )
        .all_is_well_until(22.0)
        .ticks()
        // Rule 5: above the term that vanished, and any after it.
        .does("swap none -> A holds 1004")
        .swapped(1)
        .does("elected 1004 (Expired) until 28s");
}

#[test]
fn rule_4_a_leader_whose_record_vanished_steps_down_at_once_and_waits_like_everybody() {
    leader()
        .at(2.0)
        .ticks()
        .does("swap 1 -> A holds 1")
        .at(3.0)
        .conflicts(None)
        .does(
            "revoked 1 (Lost) at 3s; watch 1; \
             warning: the lease record has vanished: waiting 10s before making a new one, \
             a thousand terms on; \
             read; no leader",
        )
        .does_not_lead()
        .all_is_well_until(13.0)
        .ticks()
        .does("swap none -> A holds 1002");
}

#[test]
fn rule_5_each_acquisition_has_the_highest_term_ever_seen_and_one() {
    candidate()
        .reads(seen(7, held(B, 8)))
        .does("watch 7; new leader B 8")
        .at(2.0)
        .ticks()
        .does("read")
        // Somebody made a new directory, where terms start over.
        .reads(seen(1, vacant(1)))
        .does("watch 1; swap 1 -> A holds 9; no leader");
}

#[test]
fn rule_5_terms_end_and_nobody_leads_after_the_last() {
    let last = Term::MAX.get();
    candidate()
        .reads(seen(7, vacant(last - 1)))
        .does(&format!("watch 7; swap 7 -> A holds {last}"));
    candidate()
        .reads(seen(7, vacant(last)))
        .does(
            "watch 7; warning: the highest term there can be may have been used: \
             nobody can lead after it",
        )
        .at(2.0)
        .ticks()
        .does("read")
        // It was said once.
        .reads(seen(8, vacant(last)))
        .does("watch 8");
}

#[test]
fn rule_6_a_conflict_with_my_own_record_goes_on_from_there_with_a_new_asked_at() {
    leader()
        .at(2.0)
        .ticks()
        .does("swap 1 -> A holds 1")
        // It took effect; the answer was lost.
        .at(3.0)
        .swap_fails()
        .does("")
        .at(3.5)
        .ticks()
        .does("swap 1 -> A holds 1")
        .at(5.0)
        .conflicts(seen(2, held(A, 1)))
        .does("swap 2 -> A holds 1")
        .at(5.5)
        .leads(1)
        .swapped(3)
        .does("")
        // Asked for at 5 s: neither 2 s nor 3.5 s may count.
        .all_is_well_until(6.9)
        .leads(1)
        .due_at(7.0);
}

#[test]
fn rule_6_my_own_record_in_a_conflict_does_not_count_as_a_renewal() {
    leader()
        .at(2.0)
        .ticks()
        .does("swap 1 -> A holds 1")
        .at(5.9)
        .conflicts(seen(2, held(A, 1)))
        .does("swap 2 -> A holds 1")
        .at(6.0)
        .ticks()
        .does("revoked 1 (RenewDeadline) at 6s; watch 2; no leader");
}

#[test]
fn rule_6_any_other_conflict_steps_down_now() {
    let others = [
        (seen(2, held(B, 2)), "read; new leader B 2"),
        (seen(2, held(A, 2)), "read; no leader"),
        (seen(2, lasting(20, held(A, 1))), "read; no leader"),
        (seen(2, vacant_for(B, 1)), "read; no leader"),
        (seen(2, vacant(2)), "swap 2 -> A holds 3; no leader"),
    ];
    for (other, then) in others {
        leader()
            .at(2.0)
            .ticks()
            .does("swap 1 -> A holds 1")
            .at(2.5)
            .conflicts(other)
            .does(&format!(
                "revoked 1 (Lost) at 2.5s; watch 1; watch 2; {then}"
            ))
            .does_not_lead();
    }
}

#[test]
fn rule_6_a_conflict_with_what_was_expected_is_not_tried_again_at_once() {
    candidate()
        .reads(seen(7, vacant(3)))
        .does("watch 7; swap 7 -> A holds 4")
        .conflicts(seen(7, vacant(3)))
        .does("");
}

#[test]
fn rule_6_a_candidate_treats_its_own_leftover_as_foreign() {
    candidate()
        .reads(seen(7, vacant(3)))
        .does("watch 7; swap 7 -> A holds 4")
        // It took effect; the answer was lost.
        .at(0.5)
        .swap_fails()
        .does("")
        .at(1.0)
        .ticks()
        .does("swap 7 -> A holds 4")
        .conflicts(seen(8, held(A, 4)))
        .does("watch 8")
        .does_not_lead()
        .all_is_well_until(11.0)
        .ticks()
        .does("swap 8 -> A holds 5");
}

#[test]
fn rule_7_an_error_neither_extends_a_lease_nor_ends_it() {
    leader()
        .at(2.0)
        .ticks()
        .does("swap 1 -> A holds 1")
        .at(2.1)
        .swap_fails()
        .does("")
        .leads(1)
        .at(2.6)
        .ticks()
        .does("swap 1 -> A holds 1")
        .at(5.5)
        .swap_fails()
        .does("")
        .leads(1)
        .at(6.0)
        .ticks()
        .does("revoked 1 (RenewDeadline) at 6s; watch 1; no leader");
}

#[test]
fn rule_7_a_call_is_abandoned_at_the_renew_deadline() {
    candidate()
        .due_at(6.0)
        .at(6.0)
        .ticks()
        .does("abandon")
        .due_at(6.5)
        .at(6.5)
        .ticks()
        .does("read");
}

#[test]
fn rule_7_a_late_acquisition_is_led_only_after_a_fresh_renewal() {
    candidate()
        .reads(None)
        .does("swap none -> A holds 1")
        .frozen_until(6.0)
        .swapped(1)
        .does("watch 1; swap 1 -> A holds 1")
        .does_not_lead()
        .at(7.0)
        .swapped(2)
        .does("elected 1 (Vacant) until 12s");
}

#[test]
fn rule_7_a_late_acquisition_that_has_vanished_is_not_vacant() {
    candidate()
        .reads(None)
        .does("swap none -> A holds 1")
        .frozen_until(60.0)
        .swapped(1)
        .does("watch 1; swap 1 -> A holds 1")
        // Somebody may have taken it meanwhile, and lead still.
        .conflicts(None)
        .does(
            "warning: the lease record has vanished: waiting 10s before making a new one, \
             a thousand terms on; read",
        )
        .does_not_lead();
}

#[test]
fn rule_7_an_abandoned_acquisition_that_landed_after_all_is_foreign() {
    candidate()
        .reads(seen(7, vacant(3)))
        .does("watch 7; swap 7 -> A holds 4")
        .at(6.0)
        .ticks()
        .does("abandon")
        .at(6.5)
        .ticks()
        .does("swap 7 -> A holds 4")
        .conflicts(seen(8, held(A, 4)))
        .does("watch 8; read")
        .does_not_lead();
}

#[test]
fn rule_8_a_leader_that_was_frozen_says_so_before_anything_else() {
    leader()
        .frozen_until(60.0)
        .does_not_lead()
        .wakes()
        // It ended when belief did, not when that was found out.
        .does("revoked 1 (RenewDeadline) at 6s; watch 1; read; no leader");
}

#[test]
fn rule_8_a_late_renewal_revives_nothing() {
    leader()
        .at(2.0)
        .ticks()
        .does("swap 1 -> A holds 1")
        .at(6.0)
        .ticks()
        .does("revoked 1 (RenewDeadline) at 6s; watch 1; no leader")
        .at(7.0)
        .swapped(2)
        .does("read")
        .does_not_lead()
        // Its own record, held for one more lease.
        .reads(seen(2, held(A, 1)))
        .does("watch 2")
        .all_is_well_until(17.0)
        .ticks()
        .does("swap 2 -> A holds 2");
}

#[test]
fn rule_8_a_renewal_that_arrives_at_the_deadline_is_too_late() {
    leader()
        .at(2.0)
        .ticks()
        .does("swap 1 -> A holds 1")
        .at(6.0)
        .swapped(2)
        .does("revoked 1 (RenewDeadline) at 6s; watch 1; read; no leader");
}

#[test]
fn rule_9_leadership_is_asked_for_at_the_moment_of_use() {
    let node = leader().at(2.0).ticks().does("swap 1 -> A holds 1");
    // No step in between.
    node.at(5.999).leads(1).frozen_until(6.0).does_not_lead();
}

#[test]
fn rule_10_who_resigns_leads_until_the_work_has_stopped_then_gives_back_and_stays_out() {
    leader()
        .at(1.0)
        .should_end(Ending::Resigned)
        .does("")
        .leads(1)
        // Renewing all the while, however long the work takes.
        .all_is_well_until(61.0)
        .leads(1)
        .work_stops()
        .does("revoked 1 (Resigned) at 61s; swap 31 -> vacant 1; no leader")
        .does_not_lead()
        .at(61.5)
        .swapped(32)
        .does("watch 32")
        .all_is_well_until(71.0)
        .ticks()
        .does("swap 32 -> A holds 2");
}

#[test]
fn rule_10_who_only_releases_may_lead_again_at_once() {
    leader()
        .at(1.0)
        .work_stops()
        .does("revoked 1 (Resigned) at 1s; swap 1 -> vacant 1; no leader")
        .swapped(2)
        .does("watch 2; swap 2 -> A holds 2");
}

#[test]
fn rule_10_a_release_waits_for_the_renewal_under_way() {
    leader()
        .at(2.0)
        .ticks()
        .does("swap 1 -> A holds 1")
        .work_stops()
        .does("revoked 1 (Resigned) at 2s; no leader")
        .swapped(2)
        .does("swap 2 -> vacant 1");
}

#[test]
fn rule_10_a_release_is_tried_again_and_finds_what_it_did() {
    leader()
        .at(2.0)
        .ticks()
        .does("swap 1 -> A holds 1")
        .work_stops()
        .does("revoked 1 (Resigned) at 2s; no leader")
        .swap_fails()
        .does("")
        .at(2.5)
        .ticks()
        .does("swap 1 -> vacant 1")
        // The renewal had taken effect.
        .conflicts(seen(2, held(A, 1)))
        .does("swap 2 -> vacant 1")
        .swap_fails()
        .does("")
        .at(3.0)
        .ticks()
        .does("swap 2 -> vacant 1")
        // And so had the release.
        .conflicts(seen(3, vacant(1)))
        .does("watch 2; watch 3; swap 3 -> A holds 2");
}

#[test]
fn rule_10_a_release_that_hangs_never_delays_the_stop() {
    leader()
        .stops()
        .does("")
        .at(1.0)
        .work_stops()
        .does("revoked 1 (Shutdown) at 1s; swap 1 -> vacant 1")
        .finished(false)
        .due_at(6.0)
        .at(6.0)
        .ticks()
        .does("watch 1")
        .finished(true);
}

#[test]
fn rule_10_after_a_release_that_hung_its_own_leftover_is_what_it_saw_last() {
    leader()
        .at(1.0)
        .work_stops()
        .does("revoked 1 (Resigned) at 1s; swap 1 -> vacant 1; no leader")
        .at(6.0)
        .ticks()
        .does("watch 1")
        // Perhaps somebody had it since; that it is gone makes it no free lease.
        .at(6.5)
        .swap_fails()
        .does("")
        .at(7.0)
        .ticks()
        .does("read")
        .reads(None)
        .does(
            "warning: the lease record has vanished: waiting 10s before making a new one, \
             a thousand terms on",
        );
}

#[test]
fn rule_10_a_record_that_vanishes_before_it_is_given_back_is_not_vacant() {
    leader()
        .at(1.0)
        .work_stops()
        .does("revoked 1 (Resigned) at 1s; swap 1 -> vacant 1; no leader")
        .conflicts(None)
        .does(
            "watch 1; \
             warning: the lease record has vanished: waiting 10s before making a new one, \
             a thousand terms on",
        );
}

#[test]
fn rule_10_work_that_stops_twice_is_given_back_once() {
    leader()
        .at(1.0)
        .work_stops()
        .does("revoked 1 (Resigned) at 1s; swap 1 -> vacant 1; no leader")
        .work_stops()
        .does("")
        .swap_fails()
        .does("")
        .at(1.5)
        .ticks()
        .does("swap 1 -> vacant 1");
}

#[test]
fn rule_10_what_was_acquired_by_a_node_that_changed_its_mind_is_given_back_unused() {
    candidate()
        .reads(None)
        .does("swap none -> A holds 1")
        .gives_up()
        .does("")
        .at(1.0)
        .swapped(1)
        .does("swap 1 -> vacant 1")
        .does_not_lead();
}

#[test]
fn rule_10_what_was_acquired_too_late_and_unwanted_is_given_back_all_the_same() {
    candidate()
        .reads(None)
        .does("swap none -> A holds 1")
        .gives_up()
        .does("")
        .frozen_until(7.0)
        .swapped(1)
        .does("swap 1 -> vacant 1")
        // It has its own time for that: there is no belief to outlive.
        .due_at(13.0);
}

#[test]
fn rule_11_a_lease_that_is_handed_over_is_left_to_the_successor() {
    leader()
        .should_end(Ending::HandedOver(holder(B).session))
        .does("")
        .work_stops()
        .does("revoked 1 (HandedOver) at 0s; swap 1 -> vacant 1 for session 2; no leader")
        .at(0.5)
        .swapped(2)
        .does("watch 2")
        .all_is_well_until(10.5)
        .ticks()
        .does("swap 2 -> A holds 2");
}

#[test]
fn rule_11_who_handed_over_may_lead_again_as_soon_as_the_successor_is_gone() {
    leader()
        .should_end(Ending::HandedOver(holder(B).session))
        .does("")
        .work_stops()
        .does("revoked 1 (HandedOver) at 0s; swap 1 -> vacant 1 for session 2; no leader")
        .swapped(2)
        .does("watch 2")
        .at(1.0)
        .wakes_to(seen(3, held(B, 2)))
        .does("watch 3; new leader B 2")
        .holder_dies(seen(3, held(B, 2)))
        .does("swap 3 -> A holds 3; no leader")
        .swapped(4)
        .does("elected 3 (HolderDied) until 7s");
}

#[test]
fn rule_11_what_was_promised_holds_when_the_node_is_stopped_meanwhile() {
    leader()
        .should_end(Ending::HandedOver(holder(B).session))
        .does("")
        .stops()
        .does("")
        .work_stops()
        .does("revoked 1 (HandedOver) at 0s; swap 1 -> vacant 1 for session 2");
}

#[test]
fn rule_13_jitter_only_shortens_the_retry_period_and_comes_from_the_session() {
    let period = |session: u128| {
        let session = session.wrapping_mul(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let node = Election::new(holder(("A", session)), Timing::default());
        assert_eq!(node.period(), node.clone().period());
        node.period()
    };
    let periods: std::collections::BTreeSet<_> = (0..100).map(period).collect();
    assert!(periods.len() > 50, "{} are different", periods.len());
    assert!(*periods.first().unwrap() > Duration::from_millis(1500));
    assert!(*periods.last().unwrap() <= Duration::from_secs(2));
}

#[test]
fn a_garbled_record_is_held_by_somebody_and_may_have_hidden_terms() {
    candidate()
        .reads(garbled(7, 5))
        .does("watch 7; warning: the lease record is unreadable: taking it as held for 10s")
        .all_is_well_until(10.0)
        .ticks()
        .does("swap 7 -> A holds 6")
        .swapped(8)
        .does("elected 6 (Expired) until 16s");
}

#[test]
fn a_garbled_record_heals_at_the_next_renewal() {
    candidate()
        .reads(garbled(7, 5))
        .does("watch 7; warning: the lease record is unreadable: taking it as held for 10s")
        .at(2.0)
        .ticks()
        .does("read")
        .reads(seen(8, held(B, 3)))
        .does("watch 8; new leader B 3");
}

#[test]
fn a_namesake_is_warned_about_once_when_it_is_seen_renewing() {
    const NAMESAKE: Who = ("A", 9);
    observer()
        // Perhaps what an earlier run left behind.
        .reads(seen(7, held(NAMESAKE, 3)))
        .does("watch 7; new leader A 3")
        .at(2.0)
        .ticks()
        .does("read")
        .reads(seen(8, held(NAMESAKE, 3)))
        .does(
            "watch 8; warning: another process uses the node id A: \
             pid 42 on host host; give each node its own",
        )
        .at(4.0)
        .ticks()
        .does("read")
        .reads(seen(9, held(NAMESAKE, 3)))
        .does("watch 9");
}

#[test]
fn a_store_that_fails_is_asked_less_and_less_often() {
    candidate()
        .reads(seen(7, vacant(3)))
        .does("watch 7; swap 7 -> A holds 4")
        .swap_fails()
        .does("")
        .due_at(0.5)
        .at(0.5)
        .ticks()
        .does("swap 7 -> A holds 4")
        .swap_fails()
        .does("")
        .due_at(1.5)
        .at(1.5)
        .ticks()
        .does("swap 7 -> A holds 4")
        .swap_fails()
        .does("")
        .due_at(3.5)
        .at(3.5)
        .ticks()
        .does("swap 7 -> A holds 4")
        .swap_fails()
        .does("")
        .due_at(7.5)
        .at(7.5)
        .ticks()
        .does("swap 7 -> A holds 4")
        .swap_fails()
        .does("")
        .due_at(11.5)
        // Not even when it is woken.
        .wakes()
        .does("")
        .at(11.5)
        .ticks()
        .does("swap 7 -> A holds 4")
        // An answer ends that.
        .conflicts(seen(8, held(B, 4)))
        .does("watch 8; read; new leader B 4")
        .read_fails()
        .does("")
        .at(13.5)
        .ticks()
        .does("read");
}

#[test]
fn a_leader_asks_a_failing_store_at_least_once_a_retry_period() {
    let mut node = leader_renewing_every(1).at(1.0);
    for next in [1.25, 1.75, 2.75, 3.75, 4.75] {
        node = node
            .ticks()
            .does("swap 1 -> A holds 1")
            .swap_fails()
            .does("")
            .due_at(next)
            .at(next);
    }
}

#[test]
fn a_wake_up_brings_a_look_and_one_during_a_look_another() {
    candidate()
        .reads(seen(7, held(B, 3)))
        .does("watch 7; new leader B 3")
        .at(0.5)
        .wakes()
        .does("read")
        .at(0.6)
        // Too late for the look that is under way.
        .wakes()
        .does("")
        .reads(seen(8, held(B, 3)))
        .does("watch 8; prepare A holds 4; read");
}

#[test]
fn a_candidate_prepares_when_it_sees_one_leader_for_the_second_time() {
    candidate()
        .reads(seen(7, held(B, 3)))
        .does("watch 7; new leader B 3")
        .at(2.0)
        .ticks()
        .does("read")
        .reads(seen(8, held(C, 4)))
        .does("watch 8; new leader C 4")
        .at(4.0)
        .ticks()
        .does("read")
        .reads(seen(9, held(C, 4)))
        .does("watch 9; prepare A holds 5")
        .at(6.0)
        .ticks()
        .does("read")
        .reads(seen(10, held(C, 4)))
        .does("watch 10");
}

#[test]
fn an_observer_never_swaps() {
    observer()
        .reads(seen(7, vacant(3)))
        .does("watch 7")
        .all_is_well_until(100.0)
        .ticks()
        .does("read")
        .reads(seen(8, held(B, 4)))
        .does("watch 8; new leader B 4")
        .holder_dies(seen(8, held(B, 4)))
        .does("no leader")
        .all_is_well_until(200.0)
        .ticks()
        .does("read");
}

#[test]
fn each_leader_is_announced_once_and_its_end_when_its_lease_ends() {
    observer()
        .reads(seen(7, held(B, 3)))
        .does("watch 7; new leader B 3")
        .all_is_well_until(10.0)
        .ticks()
        .does("read; no leader")
        .reads(seen(8, held(B, 4)))
        .does("watch 8; new leader B 4")
        .at(12.0)
        .ticks()
        .does("read")
        .reads(seen(9, vacant(4)))
        .does("watch 9; no leader");
}

#[test]
fn a_node_that_is_stopped_does_not_begin_to_lead() {
    candidate().stops().does("").finished(true);
    candidate()
        .reads(None)
        .does("swap none -> A holds 1")
        .stops()
        .does("")
        .finished(false)
        // Too late.
        .campaigns()
        .does("")
        .at(1.0)
        .swapped(1)
        .does("swap 1 -> vacant 1")
        .does_not_lead()
        .swapped(2)
        .does("watch 2")
        .finished(true);
}

#[test]
fn a_leader_that_is_stopped_renews_until_its_work_has_stopped() {
    leader()
        .stops()
        .does("")
        .all_is_well_until(61.0)
        .leads(1)
        .finished(false)
        .work_stops()
        .does("revoked 1 (Shutdown) at 61s; swap 31 -> vacant 1")
        .swapped(32)
        .does("watch 32")
        .finished(true);
}

#[test]
fn a_release_under_way_does_not_make_a_stopping_node_look_back_at_the_last_leader() {
    candidate()
        .reads(seen(7, held(B, 3)))
        .does("watch 7; new leader B 3")
        .holder_dies(seen(7, held(B, 3)))
        .does("swap 7 -> A holds 4; no leader")
        .swapped(8)
        .does("elected 4 (HolderDied) until 6s")
        .at(1.0)
        .stops()
        .does("")
        .work_stops()
        .does("revoked 4 (Shutdown) at 1s; swap 8 -> vacant 4")
        // B is not due any more.
        .due_at(6.0);
}

#[test]
fn a_node_says_how_it_is_on_its_way_to_leadership_and_back() {
    candidate()
        .says("candidate from 0s")
        .reads(None)
        .does("swap none -> A holds 1")
        .says("candidate from 0s; needs its witness")
        .swapped(1)
        .does("elected 1 (Vacant) until 6s")
        .says("settled; candidate from 0s; holds 1; needs its witness")
        .should_end(Ending::Resigned)
        .does("")
        .says("settled; candidate from 0s; ending; holds 1; needs its witness")
        .at(1.0)
        .work_stops()
        .does("revoked 1 (Resigned) at 1s; swap 1 -> vacant 1; no leader")
        .says("settled; candidate from 11s; holds 1; needs its witness")
        .swapped(2)
        .does("watch 2")
        .says("settled; candidate from 11s")
        .stops()
        .does("")
        .says("settled; ending");
}
