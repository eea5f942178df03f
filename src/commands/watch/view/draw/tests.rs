//! Screens, from the largest to the smallest.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::NaiveTime;
use leader_demo::{Acquired, Holder, NodeId, Seen, SessionId, Term};
use proptest::prelude::*;

use super::*;
use crate::commands::watch::view::timeline::Moment;

/// An election, played from second to second.
#[derive(Default)]
struct Played(Timeline);

impl Played {
    fn saw(mut self, second: f64, seen: Seen) -> Self {
        self.0.saw(moment(second), seen);
        self
    }

    fn screen(&self, second: f64, columns: u16, rows: u16) -> String {
        let buf = self.drawn(second, columns, rows, &mut Scroll::default());
        let row = |y| -> String { (0..columns).map(|x| buf[(x, y)].symbol()).collect() };
        let rows: Vec<_> = (0..rows).map(|y| row(y).trim_end().to_owned()).collect();
        rows.join("\n")
    }

    fn drawn(&self, second: f64, columns: u16, rows: u16, scroll: &mut Scroll) -> Buffer {
        let mut buf = Buffer::empty(Rect::new(0, 0, columns, rows));
        let frame = Frame {
            lock: "orders",
            store: "file:/srv/locks",
            colours: false,
        };
        draw(&frame, &self.0, scroll, moment(second).at, &mut buf);
        buf
    }
}

fn moment(second: f64) -> Moment {
    let since = Duration::from_secs_f64(second);
    Moment {
        at: BootTime::default() + since,
        time: NaiveTime::from_hms_opt(14, 30, 0).unwrap() + since,
    }
}

fn term(term: u64) -> Term {
    Term::new(term).unwrap()
}

fn leader(id: &str) -> Holder {
    Holder {
        node_id: NodeId::new(id).unwrap(),
        session: SessionId::from_u128(id.len() as u128),
        host: "vm".into(),
        pid: NonZeroU32::new(4711),
        boot_id: None,
    }
}

fn elected(id: &str, number: u64, acquired: Option<Acquired>, gap_ms: Option<f64>) -> Seen {
    Seen::Elected {
        leader: leader(id),
        term: term(number),
        lease_duration: Duration::from_secs(10),
        acquired,
        gap: gap_ms.map(|ms| Duration::from_secs_f64(ms / 1e3)),
    }
}

fn renewed(id: &str, number: u64) -> Seen {
    Seen::Renewed {
        leader: leader(id),
        term: term(number),
        after: Duration::from_secs(2),
    }
}

/// One leader is killed, the next freezes, the next hands over.
fn three_failovers() -> Played {
    Played::default()
        .saw(0.0, elected("node-1", 3, None, None))
        .saw(10.0, Seen::Died { term: term(3) })
        .saw(
            10.0,
            elected("node-2", 4, Some(Acquired::HolderDied), Some(1.23)),
        )
        .saw(20.0, renewed("node-2", 4))
        .saw(30.0, Seen::Expired { term: term(4) })
        .saw(
            30.1,
            elected("node-3", 5, Some(Acquired::Expired), Some(10_100.0)),
        )
        .saw(75.0, Seen::Released { term: term(5) })
        .saw(
            75.0,
            elected("node-1", 6, Some(Acquired::Vacant), Some(0.0)),
        )
}

#[test]
fn who_leads_in_the_usual_terminal() {
    let expected = "
  orders                                                       file:/srv/locks

  ▄▄   ▄   ▄█  ▄      ▄█     term 6
  █ █ █ █ █ █ █▀▀ ▀▀▀  █     leads for 2 s
  ▀ ▀  ▀   ▀▀  ▀▀     ▀▀▀    pid 4711 on vm

  lease ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸───────────────  7.5 s

    since     leader   term      gap  how it began   led for  and then
  ●  14:31:15  node-1      6    <1 ms  was free           2 s  leads
  ○  14:30:30  node-3      5   10.1 s  lease expired   44.9 s  released
  ○  14:30:10  node-2      4   1.2 ms  leader died     10.0 s  expired
  ○  14:30:00  node-1      3        -  led already     10.0 s  died



  q quit   ↑ ↓ PgUp PgDn Home End scroll";
    let screen = three_failovers().screen(77.5, 80, 17);
    assert_eq!(format!("\n{screen}"), expected, "\n{screen}");
}

#[test]
fn nobody_leads() {
    let played = three_failovers().saw(80.0, Seen::Died { term: term(6) });
    let expected = "
  orders                                                       file:/srv/locks
  █▀▄ ▄▀▄     █   █▀▀ ▄▀▄ █▀▄ █▀▀ █▀▄    for 5 s
  █ █ █ █     █   █▀  █▀█ █ █ █▀  █▀▄    since 14:31:20
  ▀ ▀  ▀      ▀▀▀ ▀▀▀ ▀ ▀ ▀▀  ▀▀▀ ▀ ▀    node-1 led in term 6

    since     leader   term      gap  how it began   led for  and then
  ○  14:31:15  node-1      6    <1 ms  was free        5.00 s  died
  ○  14:30:30  node-3      5   10.1 s  lease expired   44.9 s  released
  ○  14:30:10  node-2      4   1.2 ms  leader died     10.0 s  expired
  ○  14:30:00  node-1      3        -  led already     10.0 s  died";
    let screen = played.screen(85.0, 80, 10);
    assert_eq!(format!("\n{screen}"), expected, "\n{screen}");
}

#[test]
fn a_pane_of_six_lines() {
    let expected = "
  node-1  term 6  leads for 7 s  pid 4711 on vm
  lease ━━━━━━━━━━━━━━━━━━━────────────────────────────────────────────  3.0 s";
    let screen = three_failovers().screen(82.0, 80, 6);
    assert!(
        screen.starts_with(expected.trim_start_matches('\n')),
        "\n{screen}"
    );
    assert_eq!(screen.lines().count(), 6, "\n{screen}");
    assert!(
        screen.ends_with("leader died     10.0 s  expired"),
        "\n{screen}"
    );
}

#[test]
fn the_smaller_it_is_the_less_there_is() {
    let played = three_failovers();
    for (columns, rows, expected) in [
        (50, 1, "  node-1  term 6  leads for 2 s  pid 4711 on vm"),
        (10, 3, "node-1\nterm 6\n━━━━━━━╸──"),
        (10, 1, "node-1"),
        (14, 1, "node-1  term 6"),
        (5, 2, "node-\nterm"),
        (1, 1, "n"),
    ] {
        let screen = played.screen(77.5, columns, rows);
        assert_eq!(screen, expected, "{columns} x {rows}");
    }
}

#[test]
fn what_there_is_no_room_for_is_left_out_whole() {
    let played = Played::default().saw(0.0, elected("node-1", 3, None, None));
    for (columns, expected) in [
        (
            60,
            "  node-1  term 3  leads for at least 2 s  pid 4711 on vm",
        ),
        (57, "  node-1  term 3  leads for at least 2 s"),
        (41, "  node-1  term 3"),
    ] {
        assert_eq!(played.screen(2.0, columns, 1), expected, "{columns}");
    }
    let keys = |columns| {
        let screen = played.screen(2.0, columns, 12);
        screen.lines().last().unwrap().to_owned()
    };
    assert_eq!(keys(45), "  q quit   ↑ ↓ PgUp PgDn Home End scroll");
    assert_eq!(keys(40), "  q quit");
}

#[test]
fn a_long_term_keeps_its_column() {
    let screen = Played::default()
        .saw(0.0, elected("node-1", 99_999, None, None))
        .saw(1.0, elected("node-2", 12_345_678, None, None))
        .screen(2.0, 80, 5);
    let table = screen.lines().skip(2).map(str::to_owned);
    let table: Vec<_> = table.collect();
    assert_eq!(
        table,
        [
            "    since     leader      term      gap  how it began   led for  and then",
            "  ●  14:30:01  node-2  12345678        -                     1 s  leads",
            "  ○  14:30:00  node-1     99999        -  led already          -  replaced",
        ]
    );
}

#[test]
fn who_was_never_heard_of_again_led_for_nobody_knows_how_long() {
    let played = Played::default()
        .saw(0.0, elected("node-1", 3, None, None))
        .saw(10.0, Seen::Expired { term: term(3) });
    let screen = played.screen(11.0, 80, 5);
    assert!(
        screen.contains("led already          -  expired"),
        "\n{screen}"
    );
    // A death has a moment of its own.
    let played = Played::default()
        .saw(0.0, elected("node-1", 3, None, None))
        .saw(0.0, Seen::Died { term: term(3) });
    let screen = played.screen(11.0, 80, 5);
    assert!(
        screen.contains("led already      <1 ms  died"),
        "\n{screen}"
    );
}

#[test]
fn trouble_is_said_in_every_size_with_three_rows() {
    let played = three_failovers().saw(76.0, Seen::StoreFailed("no answer".into()));
    for (columns, rows) in [(120, 40), (80, 24), (80, 6), (50, 3)] {
        let screen = played.screen(77.0, columns, rows);
        assert!(
            screen.contains("! the store fails: no answer"),
            "\n{screen}"
        );
    }
    let played = played.saw(78.0, Seen::StoreRecovered);
    assert!(!played.screen(78.0, 80, 24).contains('!'));
}

#[test]
fn before_the_first_answer_nothing_is_claimed() {
    let screen = Played::default().screen(0.0, 80, 3);
    assert!(!screen.contains("LEADER"), "\n{screen}");
    let screen = Played::default()
        .saw(0.0, Seen::NoLeader)
        .screen(9.0, 80, 3);
    assert!(
        screen.contains("NO LEADER  since before this watch"),
        "\n{screen}"
    );
}

#[test]
fn who_reads_about_the_past_is_not_disturbed_by_the_present() {
    let mut scroll = Scroll::default();
    let shown = |played: &Played, scroll: &mut Scroll| {
        let buf = played.drawn(100.0, 80, 5, scroll);
        let row: String = (0..80).map(|x| buf[(x, 3)].symbol()).collect();
        row.split_whitespace().nth(3).unwrap().to_owned()
    };
    let played = three_failovers();
    assert_eq!(shown(&played, &mut scroll), "6");
    scroll.by_lines(1);
    assert_eq!(shown(&played, &mut scroll), "5");
    let played = played.saw(80.0, elected("node-2", 7, None, None));
    assert_eq!(shown(&played, &mut scroll), "5");
    scroll.newest();
    assert_eq!(shown(&played, &mut scroll), "7");
    scroll.oldest();
    scroll.by_lines(5);
    assert_eq!(shown(&played, &mut scroll), "4");
}

proptest! {
    #[test]
    fn no_size_and_no_name_is_too_much(
        columns in 0_u16..130, rows in 0_u16..50, id in "[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}",
        up in 0_isize..9, second in 0.0..1e6,
    ) {
        let played = three_failovers().saw(80.0, elected(&id, 7, None, None));
        let mut scroll = Scroll::default();
        for played in [&played, &Played::default()] {
            played.drawn(second, columns, rows, &mut scroll);
            scroll.by_pages(up - 4);
            let buf = played.drawn(second, columns, rows, &mut scroll);
            // The bytes for the terminal assume this.
            for cell in buf.content() {
                prop_assert_eq!(cell.symbol().chars().count(), 1);
            }
        }
    }
}
