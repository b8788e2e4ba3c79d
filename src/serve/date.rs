//! The `Date` of answers (RFC 9110 § 6.6.1).

use std::time::{Duration, Instant, SystemTime};

/// The date, written once a second.
#[derive(Debug)]
pub struct Date {
    text: String,
    next: Option<Instant>,
}

impl Date {
    /// It is written when it is first asked for.
    pub fn unwritten() -> Date {
        Date { text: String::new(), next: None }
    }

    /// The date, as an IMF-fixdate.
    pub fn at(&mut self, now: Instant) -> &str {
        if self.next.is_none_or(|next| now >= next) {
            self.text = httpdate::fmt_http_date(SystemTime::now());
            self.next = Some(now + Duration::from_secs(1));
        }
        &self.text
    }
}
