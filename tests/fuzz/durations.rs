//! A duration that is accepted is some time, at most a day, and what it says.

use std::time::Duration;

use leader_demo::Timing;

use crate::fuzz::fuzz;
use crate::values;

#[test]
fn durations() {
    fuzz("durations", include_str!("corpus/durations.txt"), |input| {
        let text = String::from_utf8_lossy(input);
        match values::duration(&text) {
            Ok(duration) => {
                assert!(duration > Duration::ZERO && duration <= Timing::LONGEST);
                let said = humantime::format_duration(duration).to_string();
                assert_eq!(values::duration(&said), Ok(duration), "{said}");
            }
            Err(help) => assert!(
                help.contains("for example") || help.contains("24h") || help.contains("like")
            ),
        }
        let _ = values::timeout(&text);
    });
}
