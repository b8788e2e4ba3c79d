//! Requests that follow the RFCs, and requests that don't (behaviour 7.5): what is valid is served, what is invalid is
//! refused with its status and a close, however the bytes are cut; no other client notices, and no connection gets a
//! second answer.

use crate::support::client::{Client, DEADLINE};
use crate::support::linux::cpu_time;
use crate::support::places::busy;
use crate::support::program::Program;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The section that says so, the request, and the statuses that it allows here.
type Case = (&'static str, Vec<u8>, &'static [u16]);

const OK: &[u16] = &[200];
const BAD: &[u16] = &[400];
const LONGEST: &[u16] = &[431];

/// A whole request with this request line.
fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: localhost\r\n\r\n"].concat()
}

/// A whole GET with these bytes in the place of the Host field line.
fn fields(fields: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /viewer/icon.svg HTTP/1.1\r\n", fields.as_ref(), b"\r\n"].concat()
}

/// A whole GET with this field line beside Host.
fn field(line: impl AsRef<[u8]>) -> Vec<u8> {
    fields([b"Host: localhost\r\n", line.as_ref(), b"\r\n"].concat())
}

fn request_lines() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |section, lines: &[&str], allowed| {
        cases.extend(lines.iter().map(|text| (section, line(text), allowed)));
    };
    add("RFC 9112 3", &["GET /viewer/icon.svg HTTP/1.1", "HEAD /viewer/icon.svg HTTP/1.1"], OK);
    add("RFC 9110 9.3.7", &["OPTIONS /viewer/icon.svg HTTP/1.1"], &[204]);
    add(
        "RFC 9110 9.1: methods are case-sensitive, unknown ones not allowed",
        &[
            "get / HTTP/1.1",
            "Get / HTTP/1.1",
            "POST / HTTP/1.1",
            "PUT / HTTP/1.1",
            "DELETE / HTTP/1.1",
            "PATCH / HTTP/1.1",
        ],
        &[405, 501],
    );
    add(
        "RFC 9110 9.1",
        &["TRACE / HTTP/1.1", "QUERY / HTTP/1.1", "M-SEARCH / HTTP/1.1", "!#$%&'*+-.^_`|~09Az / HTTP/1.1"],
        &[405, 501],
    );
    add(
        "RFC 9110 5.6.2: a method is a token",
        &[
            "G(T / HTTP/1.1",
            "GE:T / HTTP/1.1",
            "G@T / HTTP/1.1",
            "G\"T / HTTP/1.1",
            "G\u{e9}T / HTTP/1.1",
            "G\u{1}T / HTTP/1.1",
        ],
        BAD,
    );
    add(
        "RFC 9112 3: three parts, one space between",
        &[
            "GET  /viewer/icon.svg HTTP/1.1",
            "GET /viewer/icon.svg  HTTP/1.1",
            " GET /viewer/icon.svg HTTP/1.1",
            "GET /viewer/icon.svg HTTP/1.1 ",
            "GET\t/viewer/icon.svg HTTP/1.1",
            "GET /viewer/icon.svg\tHTTP/1.1",
            "GET\u{b}/viewer/icon.svg HTTP/1.1",
            "GET /viewer/icon.svg /x HTTP/1.1",
            "GET /viewer/icon.svg",
            "GET /viewer/icon.svg ",
            "GET",
            "GET ",
            "/viewer/icon.svg",
            " /viewer/icon.svg HTTP/1.1",
            "GET  HTTP/1.1",
        ],
        BAD,
    );
    add(
        "RFC 9112 2.3: the version's form",
        &[
            "GET / http/1.1",
            "GET / Http/1.1",
            "GET / HTTP/1",
            "GET / HTTP/11",
            "GET / HTTP/1.10",
            "GET / HTTP/01.1",
            "GET / HTTP/1.1x",
            "GET / HTTP/1,1",
            "GET / HTTP/-1.1",
            "GET / HTTP/ 1.1",
            "GET / HTTPS/1.1",
            "GET / RTSP/1.0",
            "GET / HTTP/1.\u{661}",
            "GET / HTTP/",
            "GET / HTTP",
            "GET / HTTP/x.y",
        ],
        BAD,
    );
    add("RFC 9110 2.5: a later minor version", &["GET /viewer/icon.svg HTTP/1.2", "GET /viewer/icon.svg HTTP/1.9"], OK);
    add(
        "RFC 9110 15.6.6: another major version",
        &["GET / HTTP/2.0", "GET / HTTP/3.0", "GET / HTTP/0.9", "GET / HTTP/9.9", "BREW /pot HTTP/2.7"],
        &[505],
    );
    cases
}

fn targets() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |section, targets: &[&str], allowed| {
        cases.extend(targets.iter().map(|target| (section, line(format!("GET {target} HTTP/1.1")), allowed)));
    };
    add(
        "RFC 9112 3.2.1: origin form",
        &[
            "/viewer/icon.svg?",
            "/viewer/icon.svg?a=b",
            "/viewer/icon.svg?a?b/c:@!$&'()*+,;=-._~",
            "/viewer/icon.svg?%20%C3%A9%ff",
            "/viewer/%69con.svg",
            "/viewer/icon%2Esvg",
        ],
        OK,
    );
    add(
        "WHATWG URL 1.3: what browsers send in a query as it stands",
        &[
            "/viewer/icon.svg?x[]=1",
            "/viewer/icon.svg?[\\]^`{|}",
            "/viewer/icon.svg?q={'a':[1]}&b=c|d",
            "http://localhost/viewer/icon.svg?x[0]=1",
        ],
        OK,
    );
    add(
        "RFC 9112 3.2.1: a valid path that is not there",
        &[
            "/nowhere",
            "//viewer/icon.svg",
            "/viewer/icon.svg/",
            "/:@!$&'()*+,;=-._~",
            "/%00",
            "/%ff%2f",
            "/../etc/passwd",
            "/%2e%2e/",
            "/ICON.SVG",
        ],
        &[404],
    );
    add(
        "WHATWG URL 1.3: what browsers send in a path as it stands",
        &["/[", "/]", "/^", "/|", "/a[1]|^.jpg?b[]", "/[]?a", "http://localhost/[a]", "/viewer/[icon].svg"],
        &[404],
    );
    add(
        "RFC 9112 3.2.2: absolute form",
        &[
            "http://localhost/viewer/icon.svg",
            "HTTP://LOCALHOST:80/viewer/icon.svg?a",
            "http://[::1]:6502/viewer/icon.svg",
            "http://127.0.0.1/viewer/icon.svg",
        ],
        OK,
    );
    add("RFC 9112 3.2.2: the target wins over Host", &["http://rebound.example/viewer/icon.svg"], &[421]);
    add("RFC 9110 7.4", &["https://localhost/viewer/icon.svg"], &[200, 421]);
    add(
        "RFC 9110 4.2, 7.1: no http URI",
        &[
            "ftp://localhost/viewer/icon.svg",
            "http:///viewer/icon.svg",
            "http://",
            "http:/viewer/icon.svg",
            "http:icon.svg",
            "http://?a",
            "http://user@localhost/viewer/icon.svg",
            "http://user:pass@localhost/viewer/icon.svg",
            "http://local host/viewer/icon.svg",
            "http://localhost:x/viewer/icon.svg",
            "http://localhost:70000/viewer/icon.svg",
            "http://[::1/viewer/icon.svg",
            "http://[::g]/viewer/icon.svg",
            "http://::1/viewer/icon.svg",
            "http://localhost/viewer/icon.svg#a",
            "://localhost/",
            "file:///etc/passwd",
            "javascript:alert(1)",
        ],
        BAD,
    );
    add(
        "RFC 9112 3.2.3, 3.2.4: these forms are for CONNECT and OPTIONS",
        &["localhost:443", "localhost", "*", "**", "[::1]:80"],
        BAD,
    );
    add(
        "RFC 9112 3.2: no form at all",
        &["icon.svg", "?a", ".", "..", "./viewer/icon.svg", "../viewer/icon.svg", "\\icon.svg", "a/b", "%2Ficon.svg"],
        BAD,
    );
    add("RFC 9112 3.2: no fragment", &["/viewer/icon.svg#", "/viewer/icon.svg#a", "#a"], BAD);
    add(
        "RFC 3986 2.1: broken percent-encoding",
        &["/%", "/%2", "/%g0", "/%0g", "/viewer/icon.svg?%", "/viewer/icon.svg?a=%zz", "/%%32%30"],
        BAD,
    );
    add(
        "RFC 3986 2: no such character",
        &[
            "/\"",
            "/<",
            "/>",
            "/\\",
            "/`",
            "/{",
            "/}",
            "/viewer/icon.svg?\"",
            "/viewer/icon.svg?<",
            "/viewer/icon.svg?>",
            "/viewer/icon.svg?\u{e9}",
            "/{?a",
            "http://localhost{/viewer/icon.svg?a",
            "http://localhost[/viewer/icon.svg",
            "http://localhost|/viewer/icon.svg",
            "/\u{e9}",
            "/\u{202e}",
            "/\u{7f}",
            "/\u{1}",
            "/\u{1b}[2J",
            "/\0",
        ],
        BAD,
    );
    for byte in [0x80, 0xff, 0xc0, 0x0b, 0x0c, 0x0d, 0x85] {
        cases.push(("RFC 3986 2: no such byte", line([b"GET /", &[byte][..], b" HTTP/1.1"].concat()), BAD));
    }
    for (request, allowed) in [
        ("OPTIONS * HTTP/1.1", &[204][..]),
        ("OPTIONS *?a HTTP/1.1", BAD),
        ("OPTIONS ** HTTP/1.1", BAD),
        ("HEAD * HTTP/1.1", BAD),
        ("POST * HTTP/1.1", BAD),
        ("POST icon.svg HTTP/1.1", BAD),
        ("CONNECT localhost:443 HTTP/1.1", &[405, 501]),
        ("CONNECT [::1]:443 HTTP/1.1", &[405, 501]),
        ("CONNECT localhost HTTP/1.1", BAD),
        ("CONNECT localhost: HTTP/1.1", BAD),
        ("CONNECT :443 HTTP/1.1", BAD),
        ("CONNECT localhost:0x50 HTTP/1.1", BAD),
        ("CONNECT / HTTP/1.1", BAD),
        ("CONNECT * HTTP/1.1", BAD),
        ("CONNECT http://localhost:443/ HTTP/1.1", BAD),
    ] {
        cases.push(("RFC 9112 3.2.3, 3.2.4", line(request), allowed));
    }
    cases
}

fn hosts() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |section, hosts: &[&str], allowed| {
        cases.extend(hosts.iter().map(|host| (section, fields(format!("Host:{host}\r\n")), allowed)));
    };
    add(
        "RFC 9112 3.2",
        &[
            " localhost",
            "localhost",
            "  localhost  ",
            "\tlocalhost\t",
            " LOCALHOST:80",
            " localhost:",
            " localhost:0",
            " 127.0.0.1",
            " [::1]",
            " [::1]:80",
            " a.localhost",
            " localhost.",
        ],
        OK,
    );
    add(
        "RFC 9112 3.2: a Host that is none",
        &[
            "",
            " ",
            " :80",
            " local host",
            " localhost,localhost",
            " localhost, other",
            " user@localhost",
            " user:x@localhost",
            " localhost/",
            " localhost/viewer/icon.svg",
            " localhost?a",
            " localhost#a",
            " http://localhost",
            " localhost:x",
            " localhost:-1",
            " localhost:+1",
            " localhost:65536",
            " localhost:80:80",
            " localhost: 80",
            " [::1",
            " ::1",
            " [::g]",
            " [::1]x",
            " [::1]:x",
            " []",
            " [127.0.0.1]",
            " local\\host",
            " local\"host",
            " <localhost>",
            " lo\u{e9}calhost",
        ],
        BAD,
    );
    add("RFC 3986 3.2.2: a registered name, but none of DNS", &[" local%68ost", " a!b", " [v1.a]"], &[400, 421]);
    add("RFC 9110 7.4", &[" rebound.example", " localhost.evil.example", " 127.0.0.1.evil.example", " 0x7f.1"], &[421]);
    for (section, text, allowed) in [
        ("RFC 9112 3.2: missing", "", BAD),
        ("RFC 9112 3.2: twice", "Host: localhost\r\nHost: localhost\r\n", BAD),
        ("RFC 9112 3.2: twice", "Host: localhost\r\nHost: evil.example\r\n", BAD),
        ("RFC 9112 3.2: twice", "HOST: localhost\r\nA: b\r\nhost: localhost\r\n", BAD),
        ("RFC 9110 5.1: names in any case", "hOsT: localhost\r\n", OK),
        ("RFC 9110 7.2", "Host: localhost\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n", OK),
    ] {
        cases.push((section, fields(text), allowed));
    }
    for (text, allowed) in [
        ("GET /viewer/icon.svg HTTP/1.0\r\n\r\n", OK),
        ("GET /viewer/icon.svg HTTP/1.0\r\nHost: localhost\r\n\r\n", OK),
        ("GET /viewer/icon.svg HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", BAD),
        ("GET /viewer/icon.svg HTTP/1.0\r\nHost: a b\r\n\r\n", BAD),
        ("GET /viewer/icon.svg HTTP/1.0\r\nHost: evil.example\r\n\r\n", &[421]),
        ("GET /viewer/icon.svg HTTP/1.2\r\n\r\n", BAD),
        ("GET http://localhost/viewer/icon.svg HTTP/1.1\r\n\r\n", BAD),
        ("GET http://localhost/viewer/icon.svg HTTP/1.1\r\nHost: a b\r\n\r\n", BAD),
        ("GET http://localhost/viewer/icon.svg HTTP/1.1\r\nHost: other.example\r\n\r\n", OK),
        ("OPTIONS * HTTP/1.1\r\n\r\n", BAD),
    ] {
        cases.push(("RFC 9112 3.2", text.into(), allowed));
    }
    cases
}

fn field_lines() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |section, lines: &[&[u8]], allowed| {
        cases.extend(lines.iter().map(|text| (section, field(text), allowed)));
    };
    add(
        "RFC 9112 5, RFC 9110 5.5",
        &[
            b"A:b",
            b"A:",
            b"A: ",
            b"A: b: c",
            b"A: \t b \t ",
            b"A: b\tc",
            b"A: caf\xe9",
            b"A: caf\xc3\xa9",
            b"A: \"q\\\"\"",
            b"!#$%&'*+-.^_`|~09Az: b",
        ],
        OK,
    );
    add("RFC 9112 5.1: no blank before the colon", &[b"A : b", b"A\t: b", b"A  : b"], BAD);
    add(
        "RFC 9112 5.2: no folding",
        &[b"A: b\r\n c", b"A: b\r\n\tc", b"A:\r\n b", b"A: b\r\n ", b"A: b\r\n \r\nC: d"],
        BAD,
    );
    add(
        "RFC 9110 5.1: a name is a token",
        &[
            b": b",
            b"A B: c",
            b"A(: b",
            b"A,: b",
            b"A;: b",
            b"A/: b",
            b"A\"b\": c",
            b"A[0]: b",
            b"A@b: c",
            b"A{}: b",
            b"A\xe9: b",
            b"A\0: b",
            b"A\x7f: b",
            b"A\x1b[2J: b",
        ],
        BAD,
    );
    add("RFC 9112 5: no colon", &[b"A", b"no colon here", b"GET / HTTP/1.1", b"="], BAD);
    add(
        "RFC 9110 5.5: no control in a value",
        &[b"A: b\0", b"A: \x01", b"A: b\x08c", b"A: \x0b", b"A: b\x0cc", b"A: \x1b[2J", b"A: \x1f", b"A: b\x7f"],
        BAD,
    );
    add(
        "RFC 9112 2.2: a bare CR",
        &[b"A: b\rc", b"A: b\r", b"A\r: b", b"\rA: b", b"A: b\r\r\nC: d", b"A: b\rContent-Length: 5"],
        BAD,
    );
    add("RFC 9112 2.2: a bare LF", &[b"A: b\nC: d", b"A: b\n", b"\nA: b", b"A: b\n c"], BAD);
    for (section, text, allowed) in [
        ("RFC 9112 2.2: empty lines before", "\r\nGET /viewer/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n", OK),
        (
            "RFC 9112 2.2: empty lines before",
            "\r\n\r\n\r\nGET /viewer/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n",
            OK,
        ),
        ("RFC 9112 2.2: a bare LF before", "\nGET /viewer/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n", BAD),
        ("RFC 9112 2.2: a bare CR before", "\r\rGET /viewer/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n", BAD),
        ("RFC 9112 2.2: a blank before", " \r\nGET /viewer/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n", BAD),
        (
            "RFC 9112 2.2: blanks after the request line",
            "GET /viewer/icon.svg HTTP/1.1\r\n Host: localhost\r\n\r\n",
            BAD,
        ),
        (
            "RFC 9112 2.2: blanks after the request line",
            "GET /viewer/icon.svg HTTP/1.1\r\n\tA: b\r\nHost: localhost\r\n\r\n",
            BAD,
        ),
        ("RFC 9112 2.2: a bare LF", "GET /viewer/icon.svg HTTP/1.1\nHost: localhost\r\n\r\n", BAD),
        ("RFC 9112 2.2: a bare LF", "GET /viewer/icon.svg HTTP/1.1\r\nHost: localhost\n\r\n", BAD),
        ("RFC 9112 2.2: a bare LF", "GET /viewer/icon.svg HTTP/1.1\r\nHost: localhost\r\n\n", BAD),
        ("RFC 9112 2.2: bare LFs", "GET /viewer/icon.svg HTTP/1.1\nHost: localhost\n\n", BAD),
        ("RFC 9112 2.2: a bare CR", "GET /viewer/icon.svg HTTP/1.1\rHost: localhost\r\r", BAD),
        ("RFC 9112 2.2: a bare CR", "GET /viewer/icon.svg HTTP/1.1\r\r\nHost: localhost\r\n\r\n", BAD),
        ("RFC 9112 3: HTTP/0.9", "GET /viewer/icon.svg\r\n\r\n", BAD),
        ("RFC 9112 3: HTTP/0.9", "GET /viewer/icon.svg\r\n", BAD),
    ] {
        cases.push((section, text.into(), allowed));
    }
    cases
}

fn framing() -> Vec<Case> {
    const SECOND: &str = "GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |section, lines: &[&str], body: &str, allowed| {
        for text in lines {
            cases.push((section, [field(text), body.into()].concat(), allowed));
        }
    };
    add("RFC 9112 6.2", &["Content-Length: 5", "content-length:005", "Content-Length:\t5 "], "hello", OK);
    add("RFC 9112 6.2", &["Content-Length: 0"], SECOND, OK);
    add("RFC 9112 6.3: what is sent beyond the body", &["Content-Length: 3"], SECOND, OK);
    add(
        "RFC 9112 6.3: no body",
        &["A: b", "Connection: keep-alive", "Connection: upgrade\r\nUpgrade: h2c"],
        SECOND,
        OK,
    );
    add(
        "RFC 9110 8.6: a Content-Length that is none",
        &[
            "Content-Length:",
            "Content-Length: ",
            "Content-Length: +5",
            "Content-Length: -5",
            "Content-Length: -0",
            "Content-Length: 5 5",
            "Content-Length: 5,5",
            "Content-Length: 5, 5",
            "Content-Length: 5, 6",
            "Content-Length: ,5",
            "Content-Length: 0x5",
            "Content-Length: 5.0",
            "Content-Length: 1e1",
            "Content-Length: five",
            "Content-Length: \u{665}",
            "Content-Length: 5;",
            "Content-Length: \"5\"",
            "Content-Length: 99999999999999999999",
            "Content-Length: 18446744073709551616",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5\r\ncontent-length: 0",
            "Content-Length : 5",
            "Content-Length:\r\n 5",
        ],
        SECOND,
        BAD,
    );
    let chunked = format!("5\r\nhello\r\n0\r\n\r\n{SECOND}");
    add("RFC 9112 6.1, 7.1", &["Transfer-Encoding: chunked", "transfer-encoding:CHUNKED"], &chunked, OK);
    add(
        "RFC 9110 5.6.1.2: empty list elements",
        &["Transfer-Encoding: , chunked,", "Transfer-Encoding:\r\nTransfer-Encoding: chunked"],
        &chunked,
        OK,
    );
    add("RFC 9110 5.1: another field", &["Transfer_Encoding: chunked", "X-Transfer-Encoding: gzip"], &chunked, OK);
    add(
        "RFC 9112 6.1: unknown codings",
        &[
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: deflate, gzip, chunked",
        ],
        &chunked,
        &[501],
    );
    add(
        "RFC 9112 6.3: chunked is not the last, or not there",
        &[
            "Transfer-Encoding:",
            "Transfer-Encoding: ,",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunkedx",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding: chunked;a=b",
            "Transfer-Encoding: chunked chunked",
            "Transfer-Encoding: 'chunked'",
        ],
        &chunked,
        &[400, 501],
    );
    add(
        "RFC 9112 7.1: chunked twice",
        &[
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, gzip, chunked",
        ],
        &chunked,
        BAD,
    );
    add(
        "RFC 9112 6.3: both",
        &[
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
            "Content-Length: x\r\nTransfer-Encoding: chunked",
            "Content-Length: 5\r\nTransfer-Encoding: gzip",
        ],
        &chunked,
        BAD,
    );
    add(
        "RFC 9112 5: smuggled by syntax",
        &[
            "Transfer-Encoding : chunked",
            "Transfer-Encoding:\r\n chunked",
            "Transfer-Encoding:\u{b}chunked",
            "Transfer-Encoding: chunked\0",
            "\u{feff}Transfer-Encoding: chunked",
            "A: b\nTransfer-Encoding: chunked",
            "A: b\rTransfer-Encoding: chunked",
        ],
        &chunked,
        BAD,
    );
    add("RFC 9110 10.1.1", &["Expect: 100-continue\r\nContent-Length: 5"], "hello", OK);
    add("RFC 9110 10.1.1", &["Expect: the-unexpected"], "", &[200, 417]);
    add("RFC 6454 7.3", &["Origin: http://localhost\r\nOrigin: http://localhost"], "", BAD);
    add("RFC 9110 11.6.2", &["Authorization: Bearer a\r\nAuthorization: Bearer b"], "", BAD);
    for (section, head, body, allowed) in [
        ("RFC 9112 6.2", "GET /viewer/icon.svg HTTP/1.0\r\nContent-Length: 5", "hello", OK),
        (
            "RFC 9112 6.1: HTTP/1.0",
            "GET /viewer/icon.svg HTTP/1.0\r\nTransfer-Encoding: chunked",
            chunked.as_str(),
            BAD,
        ),
        (
            "RFC 9112 6.3: both",
            "GET /viewer/icon.svg HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
            "hello",
            BAD,
        ),
        ("RFC 9110 8.6", "GET /viewer/icon.svg HTTP/1.0\r\nContent-Length: x", "hello", BAD),
        ("RFC 9110 9.3.3", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5", "hello", &[405]),
        (
            "RFC 9110 9.3.3",
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked",
            chunked.as_str(),
            &[405],
        ),
        ("RFC 9112 9.3: one request a connection", "HEAD /events HTTP/1.1\r\nHost: localhost", SECOND, OK),
        ("RFC 9112 9.3: one request a connection", "BREW / HTTP/1.1\r\nHost: localhost", SECOND, &[405, 501]),
        (
            "RFC 9112 9.3: one request a connection",
            "GET /viewer/icon.svg HTTP/1.0\r\nConnection: keep-alive",
            SECOND,
            OK,
        ),
    ] {
        cases.push((section, format!("{head}\r\n\r\n{body}").into(), allowed));
    }
    cases
}

fn other_protocols_and_bounds() -> Vec<Case> {
    let start = "GET /viewer/icon.svg HTTP/1.1\r\nHost: localhost\r\n";
    let padded = |length: usize| format!("{start}A: {}\r\n\r\n", "a".repeat(length - start.len() - 7));
    let target = |length: usize| line(format!("GET /{} HTTP/1.1", "a".repeat(length - 1)));
    let many = |n: usize| fields("A: b\r\n".repeat(n - 1) + "Host: localhost\r\n");
    vec![
        ("RFC 9113 3.4: the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), &[400, 505]),
        ("RFC 8446 4.1.2: a TLS hello", b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03\r\n\r\n".into(), BAD),
        ("RFC 4253: SSH", "SSH-2.0-OpenSSH_9.2\r\n".into(), BAD),
        ("RFC 5321: SMTP", "EHLO localhost\r\nMAIL FROM:<a@b>\r\n".into(), BAD),
        ("RFC 1928: SOCKS", b"\x05\x01\x00".into(), BAD),
        ("Redis", "*1\r\n$4\r\nPING\r\n".into(), BAD),
        ("HAProxy's PROXY", "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\n\r\n".into(), BAD),
        ("HAProxy's PROXY v2", b"\r\n\r\n\0\r\nQUIT\n".into(), BAD),
        ("nothing", b"\0\0\0\0".into(), BAD),
        ("UTF-16", "\u{feff}GET / HTTP/1.1\r\n\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect(), BAD),
        (
            "WebSocket: RFC 6455 4.2.2",
            field("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"),
            OK,
        ),
        ("RFC 9112 3: the longest target", target(8192), &[404]),
        ("RFC 9110 15.5.15: one byte more", target(8193), &[414]),
        ("RFC 9110 15.5.15: without an end", format!("GET /{}", "a".repeat(9000)).into(), &[414]),
        ("RFC 9110 15.5.15: without a blank", "a".repeat(9000).into(), &[400, 414, 431, 501]),
        ("RFC 9112 3: a long method", line(format!("{} / HTTP/1.1", "A".repeat(2000))), &[400, 405, 501]),
        ("RFC 6585 5: the longest head", padded(16384).into(), OK),
        ("RFC 6585 5: one byte more", padded(16385).into(), LONGEST),
        ("RFC 6585 5: without an end", format!("{start}A: {}", "a".repeat(17000)).into(), LONGEST),
        ("RFC 6585 5: one name without an end", format!("{start}{}", "a".repeat(17000)).into(), &[400, 431]),
        ("RFC 6585 5: the most fields", many(100), OK),
        ("RFC 6585 5: one more", many(101), LONGEST),
        ("RFC 6585 5: a thousand", many(1000), LONGEST),
        ("RFC 9112 2.2: empty lines without an end", "\r\n".repeat(8200).into(), &[400, 431]),
    ]
}

/// How a request is cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Whole,
    Bytes,
}

/// Sends it, and reads all that comes until the close.
#[track_caller]
fn exchange(program: &Program, request: &[u8], cut: Cut) -> Vec<u8> {
    let mut socket = program.connect();
    socket.set_nodelay(true).expect("is valid");
    // Of a long one only the end, where the borders are, goes byte by byte.
    let (first, rest) = match cut {
        Cut::Whole => (request, &[][..]),
        Cut::Bytes => request.split_at(request.len().saturating_sub(1000)),
    };
    // Refused at an early byte, the later ones may find nobody; the answer is there all the same.
    let sent = socket.write_all(first).and_then(|()| rest.iter().try_for_each(|byte| socket.write_all(&[*byte])));
    if let Err(error) = sent {
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    }
    read_to_close(socket, request)
}

#[track_caller]
fn read_to_close(mut socket: TcpStream, request: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Err(error) = socket.read_to_end(&mut answer) {
        let shown = String::from_utf8_lossy(&request[..request.len().min(300)]);
        panic!("{shown:?}: {error} after {:?}", String::from_utf8_lossy(&answer));
    }
    answer
}

#[test]
fn every_request_gets_what_the_rfcs_say_however_it_is_cut_and_no_other_client_notices() {
    let _places = busy();
    let mut program = Program::start(&["--max-clients", "1000"]);
    let mut good = program.stream();
    let cases = [request_lines(), targets(), hosts(), field_lines(), framing(), other_protocols_and_bounds()].concat();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for (n, (section, request, allowed)) in cases.iter().enumerate() {
        for cut in [Cut::Whole, Cut::Bytes] {
            let answer = exchange(&program, request, cut);
            let text = String::from_utf8_lossy(&answer);
            let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
            let (head, _) = text.split_once("\r\n\r\n").unwrap_or_default();
            let closes = head.contains("\r\nConnection: close");
            let once = text.matches("HTTP/1.1 ").count() == 1;
            if !status.is_some_and(|status| allowed.contains(&status)) || !closes || !once {
                let shown = String::from_utf8_lossy(&request[..request.len().min(200)]);
                wrong.push(format!("{section}, {cut:?}: {shown:?} should get {allowed:?}, got {text:?}"));
            }
        }
        program.write(format!("{n}\n"));
        assert_eq!(good.data(1), [n.to_string()], "the good client, after {section}");
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), cases.len());
}

#[test]
fn a_head_that_does_not_come_in_time_gets_408_and_silence_gets_nothing() {
    let program = Program::start(&[]);
    let mut all: Vec<_> =
        ["", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\nA: ", "\r\n", "GET / HTTP/1.1\r"]
            .iter()
            .map(|sent| {
                let mut socket = program.connect();
                socket.write_all(sent.as_bytes()).expect("it takes that much");
                (sent, socket)
            })
            .collect();
    let begun = Instant::now();
    for (sent, socket) in all.drain(..) {
        let answer = String::from_utf8(read_to_close(socket, sent.as_bytes())).expect("is text");
        assert_eq!(answer.is_empty(), sent.is_empty(), "{sent:?}: {answer:?}");
        assert!(sent.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{sent:?}: {answer:?}");
    }
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(8), "it was given its time: {took:?}");
}

#[test]
fn a_body_is_read_away_within_bounds_and_the_answer_comes_all_the_same() {
    let program = Program::start(&[]);
    for size in [100_000, 1 << 20, 8 << 20] {
        let mut socket = program.connect();
        let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n");
        let body = vec![b'x'; size];
        socket.write_all(head.as_bytes()).expect("it takes a head");
        let whole = socket.write_all(&body).is_ok();
        assert!(whole || size > 1 << 20, "a body of {size} bytes is read away");
        let client = Client::read_head(socket, &head);
        assert_eq!(client.status, 405, "{size}");
    }
    // A stream's client that keeps sending is cut off.
    let mut talker = program.stream().into_socket();
    let block = vec![b'x'; 64 << 10];
    let deadline = Instant::now() + DEADLINE;
    while talker.write_all(&block).is_ok() {
        assert!(Instant::now() < deadline, "it is listened to for ever");
    }
}

#[test]
fn a_thousand_that_send_a_byte_a_second_cost_next_to_nothing() {
    let mut program = Program::start(&["--max-clients", "2000"]);
    let mut good = program.stream();
    let head = b"GET /viewer/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut slow: Vec<_> = (0..1000).map(|_| program.connect()).collect();
    let (begun, before) = (Instant::now(), cpu_time(program.pid()));
    for (second, byte) in head.iter().enumerate().take(7) {
        for socket in &mut slow {
            socket.write_all(&[*byte]).expect("it is still listened to");
        }
        // Between two of their bytes the good client has its events at once.
        let next = begun + Duration::from_secs(second as u64 + 1);
        let mut n = 0;
        while Instant::now() < next {
            let sent = Instant::now();
            program.write(format!("{n}\n"));
            assert_eq!(good.data(1), [n.to_string()]);
            assert!(sent.elapsed() < Duration::from_secs(1), "event {n} took {:?}", sent.elapsed());
            let pause = next.saturating_duration_since(Instant::now()).min(Duration::from_millis(100));
            assert!(pause.is_zero() || good.next_chunk_within(pause).is_none(), "nothing comes unasked");
            n += 1;
        }
    }
    let used = cpu_time(program.pid()) - before;
    assert!(used < Duration::from_secs(7) / 4, "{used:?} on the processor in 7 s");
    let answers = slow.drain(..).map(|socket| read_to_close(socket, b"a byte a second"));
    for answer in answers {
        assert!(answer.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&answer));
    }
}
