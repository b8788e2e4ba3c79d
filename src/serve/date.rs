//! The `Date` of answers (RFC 9110 § 6.6.1).

use std::time::{Duration, Instant, SystemTime};

/// Seconds from 1970 to the end of 9999: no later year can be written (RFC 9110 § 5.6.7).
const LAST: u64 = 253_402_300_799;

/// The date, written once a second.
#[derive(Debug)]
pub struct Date {
    text: String,
    next: Option<Instant>,
}

impl Date {
    /// It is written when it is first needed.
    pub fn unwritten() -> Date {
        Date { text: String::new(), next: None }
    }

    /// The date, as an IMF-fixdate.
    pub fn at(&mut self, now: Instant) -> &str {
        if self.next.is_none_or(|next| now >= next) {
            self.text = imf_fixdate(SystemTime::now());
            self.next = Some(now + Duration::from_secs(1));
        }
        &self.text
    }
}

/// If the clock is before 1970 or after 9999, the nearest second that can be written is used.
fn imf_fixdate(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since.min(Duration::from_secs(LAST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_of_a_clock_can_be_written() {
        const SECOND: Duration = Duration::from_secs(1);
        let last = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST);
        let far = Duration::from_secs(i64::MAX.unsigned_abs());
        for (time, want) in [
            (SystemTime::UNIX_EPOCH, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (SystemTime::UNIX_EPOCH - SECOND, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (SystemTime::UNIX_EPOCH.checked_sub(far).expect("Unix has it"), "Thu, 01 Jan 1970 00:00:00 GMT"),
            (SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT"),
            (last, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (last + SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (SystemTime::UNIX_EPOCH.checked_add(far).expect("Unix has it"), "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(imf_fixdate(time), want, "{time:?}");
        }
    }
}
