//! Replies that are complete from the start: head and content in one piece.

use super::access::Cors;
use super::assets::Asset;
use super::service::Service;
use crate::wire::request::{Invalid, Method, origin_of_invalid};
use crate::wire::response::{Length, head};

/// What all replies to one request have in common.
#[derive(Clone, Copy, Debug)]
pub struct Replies<'a> {
    /// HEAD gets no content.
    pub method: Method,
    /// The `Date`, an IMF-fixdate.
    pub date: &'a str,
    /// What CORS says about the request.
    pub cors: &'a Cors,
}

impl Replies<'_> {
    /// A reply with this content.
    pub fn whole(&self, status: u16, fields: &[(&str, &str)], content: &[u8]) -> Vec<u8> {
        let mut bytes = self.head(status, Length::Bytes(content.len() as u64), fields);
        if self.method != Method::Head {
            bytes.extend_from_slice(content);
        }
        bytes
    }

    /// A line of plain text.
    pub fn text(&self, status: u16, fields: &[(&str, &str)], text: &str) -> Vec<u8> {
        let mut all = vec![("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")];
        all.extend_from_slice(fields);
        self.whole(status, &all, text.as_bytes())
    }

    /// The head for a file of the built-in page, whose content of this length follows it.
    pub fn asset_head(&self, asset: &Asset, length: usize, policy: &str) -> Vec<u8> {
        let mut fields = vec![
            ("Content-Type", asset.media_type),
            ("Content-Security-Policy", policy),
            ("Referrer-Policy", "no-referrer"), // the URL may carry the token
            ("Cache-Control", "no-cache"),
            ("Vary", "Accept"),
        ];
        if asset.gzip {
            // Regardless of `Accept-Encoding`: there is no other form, and every browser that can show this page can
            // read it.
            fields.push(("Content-Encoding", "gzip"));
        }
        self.head(200, Length::Bytes(length as u64), &fields)
    }

    /// 204 for OPTIONS and preflights (Fetch, "CORS protocol").
    pub fn preflight(&self) -> Vec<u8> {
        let fields = [
            ("Allow", "GET, HEAD, OPTIONS"),
            ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
            ("Access-Control-Allow-Headers", "Last-Event-ID, Cache-Control, Authorization"),
            ("Access-Control-Max-Age", "600"),
        ];
        self.head(204, Length::NoContent, &fields)
    }

    /// A head alone: `fields`, then those of CORS.
    pub fn head(&self, status: u16, length: Length, fields: &[(&str, &str)]) -> Vec<u8> {
        let fields: Vec<_> = fields.iter().copied().chain(self.cors.fields()).collect();
        head(status, self.date, length, &fields)
    }
}

/// Answers an invalid head, of which this was `sent`. The page that sent it may read why, if it may read at all.
pub fn refuse(invalid: Invalid, sent: &[u8], service: &Service, date: &str) -> Vec<u8> {
    let (status, why) = invalid.status();
    unanswerable(status, why, sent, service, date)
}

/// Answers a client whose head did not arrive in time (408); only this was `sent`.
pub fn too_late(sent: &[u8], service: &Service, date: &str) -> Vec<u8> {
    unanswerable(408, "the request head did not arrive within 10 s", sent, service, date)
}

fn unanswerable(status: u16, why: &str, sent: &[u8], service: &Service, date: &str) -> Vec<u8> {
    let cors = match service.origins.judge(origin_of_invalid(sent), None) {
        Cors::Refused => Cors::Same, // as if no page had asked: a 403 would explain less
        cors => cors,
    };
    Replies { method: Method::Get, date, cors: &cors }.text(status, &[], &format!("{why}\n"))
}
