//! Parts of a record that is a JSON text (RFC 8259), named by JSON Pointers (RFC 6901).
//!
//! serde_json reads the whole record, and so checks that it is JSON, but builds no tree: a part that no pointer names
//! is skipped, however deeply it is nested, and a part that one names is a slice of the record.

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A JSON Pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    tokens: Vec<Token>,
}

/// A reference token: the name of a member, or the number of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    name: String,
    /// Digits without a leading zero (RFC 6901 § 4).
    index: Option<usize>,
}

impl Pointer {
    /// Reads a pointer in its string form (RFC 6901 § 3); the error says what one looks like.
    pub fn parse(text: &str) -> Result<Pointer, &'static str> {
        if text.is_empty() {
            return Ok(Pointer { text: String::new(), tokens: Vec::new() });
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err("a JSON Pointer begins with a slash, such as /type");
        };
        let tokens = rest.split('/').map(Token::parse).collect::<Option<_>>();
        let tokens = tokens.ok_or("in a JSON Pointer ~ is written ~0, and a slash within a name ~1")?;
        Ok(Pointer { text: text.to_owned(), tokens })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Token {
    fn parse(text: &str) -> Option<Token> {
        let mut escapes = text.split('~');
        let mut name = escapes.next().unwrap_or_default().to_owned();
        for escape in escapes {
            name.push(match escape.as_bytes().first() {
                Some(b'0') => '~',
                Some(b'1') => '/',
                _ => return None,
            });
            name.push_str(&escape[1..]);
        }
        let plain = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
        let index = if plain { name.parse().ok() } else { None };
        Some(Token { name, index })
    }

    /// Whether this is the token of a member whose name is written so, quotes and all.
    fn names(&self, quoted: &str) -> bool {
        let written = &quoted[1..quoted.len() - 1];
        if memchr::memchr(b'\\', written.as_bytes()).is_none() {
            written == self.name
        } else {
            text(quoted) == self.name
        }
    }
}

/// The record is not a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

/// Finds in `record` what each pointer points to, as it is written there; `None` if there is nothing.
///
/// Of members of the same name the last one counts, as in browsers.
pub fn find<'a, const N: usize>(
    record: &'a str,
    pointers: [Option<&Pointer>; N],
) -> Result<[Option<&'a str>; N], NotJson> {
    let mut rest: [&[Token]; N] = pointers.map(|pointer| pointer.map_or(&[][..], |pointer| &pointer.tokens));
    let mut found = pointers.map(|pointer| pointer.map(|_| record.trim_matches([' ', '\t', '\r', '\n'])));
    let mut whole = record;
    // One level at a time, the whole record first: so no nesting is too deep.
    loop {
        let same = |text: Option<&str>| text.is_some_and(|text| std::ptr::eq(text.trim_ascii(), whole.trim_ascii()));
        let here: [bool; N] = std::array::from_fn(|nth| !rest[nth].is_empty() && same(found[nth]));
        let mut level = Level { wanted: std::array::from_fn(|nth| here[nth].then(|| &rest[nth][0])), found: [None; N] };
        level.read(whole).map_err(|_| NotJson)?;
        for nth in (0..N).filter(|&nth| here[nth]) {
            found[nth] = level.found[nth];
            rest[nth] = &rest[nth][1..];
        }
        let next = (0..N).find(|&nth| !rest[nth].is_empty() && found[nth].is_some());
        match next.and_then(|nth| found[nth]) {
            Some(text) => whole = text,
            None => return Ok(found),
        }
    }
}

/// One object or array, in which members or elements are looked for.
struct Level<'t, 'a, const N: usize> {
    wanted: [Option<&'t Token>; N],
    found: [Option<&'a str>; N],
}

impl<'a, const N: usize> Level<'_, 'a, N> {
    /// Reads a JSON text to its end.
    fn read(&mut self, text: &'a str) -> Result<(), serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        match text.trim_ascii_start().as_bytes().first() {
            Some(b'{') => json.deserialize_map(&mut *self)?,
            Some(b'[') => json.deserialize_seq(&mut *self)?,
            _ => json.deserialize_ignored_any(IgnoredAny).map(drop)?,
        }
        json.end()
    }

    /// Which of the wanted ones this matches; `None` if none.
    fn matching(&self, is: impl Fn(&Token) -> bool) -> Option<[bool; N]> {
        let matching = self.wanted.map(|token| token.is_some_and(&is));
        matching.contains(&true).then_some(matching)
    }

    fn keep(&mut self, matching: [bool; N], value: &'a RawValue) {
        for (found, matching) in self.found.iter_mut().zip(matching) {
            if matching {
                *found = Some(value.get());
            }
        }
    }
}

impl<'a, const N: usize> Visitor<'a> for &mut Level<'_, 'a, N> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<&RawValue>()? {
            match self.matching(|token| token.names(name.get())) {
                Some(matching) => self.keep(matching, map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        for nth in 0.. {
            match self.matching(|token| token.index == Some(nth)) {
                Some(matching) => match seq.next_element()? {
                    Some(value) => self.keep(matching, value),
                    None => break,
                },
                None if seq.next_element::<IgnoredAny>()?.is_none() => break,
                None => {}
            }
        }
        Ok(())
    }
}

/// The text of a value as [`find`] gives it: of a string its content, of any other value compact JSON.
pub fn text(value: &str) -> Cow<'_, str> {
    let bytes = value.as_bytes();
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(written) if memchr::memchr(b'\\', bytes).is_none() => Cow::Borrowed(written),
        Some(_) => {
            let mut json = serde_json::Deserializer::from_str(value);
            // It is known to be a string. It is read as bytes, because JSON's grammar allows half a surrogate pair.
            Cow::Owned(json.deserialize_bytes(Unescaped).unwrap_or_default())
        }
        None if bytes.iter().any(u8::is_ascii_whitespace) => Cow::Owned(compact(value)),
        None => Cow::Borrowed(value),
    }
}

/// Unescapes a string, with U+FFFD for half a surrogate pair, as a browser sends it.
struct Unescaped;

impl Visitor<'_> for Unescaped {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            // Half a pair comes as three bytes, none of which is UTF-8 with the others: ED, and two more.
            if chunk.invalid().starts_with(b"\xed") {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Ok(text)
    }
}

/// JSON without the blanks between its parts; numbers and strings stay as they are.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |char: &char| {
        let quote = *char == '"' && !escaped;
        escaped = in_string && *char == '\\' && !escaped;
        in_string ^= quote;
        in_string || !char.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// What the pointer finds, as text.
    fn at<'a>(record: &'a str, pointer: &str) -> Result<Option<Cow<'a, str>>, NotJson> {
        let pointer = Pointer::parse(pointer).expect("is a pointer");
        Ok(find(record, [Some(&pointer)])?[0].map(text))
    }

    #[test]
    fn finds_what_rfc_6901_says() {
        // The document of RFC 6901 § 5.
        let document = r#"{
            "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8
        }"#;
        for (pointer, want) in [
            ("/foo", Some(r#"["bar","baz"]"#)),
            ("/foo/0", Some("bar")),
            ("/", Some("0")),
            ("/a~1b", Some("1")),
            ("/c%d", Some("2")),
            ("/e^f", Some("3")),
            ("/g|h", Some("4")),
            ("/i\\j", Some("5")),
            ("/k\"l", Some("6")),
            ("/ ", Some("7")),
            ("/m~0n", Some("8")),
            ("/foo/2", None),
            ("/foo/-", None),
            ("/foo/00", None),
            ("/foo/+1", None),
            ("/foo/bar", None),
            ("/foo/0/x", None),
            ("/foo/", None),
            ("/nothing", None),
            ("//x", None),
        ] {
            assert_eq!(at(document, pointer), Ok(want.map(Cow::Borrowed)), "{pointer}");
        }
        assert_eq!(at(" [1, {\"a b\": \" c \\\" d \"}] ", ""), Ok(Some(r#"[1,{"a b":" c \" d "}]"#.into())));
        assert_eq!(at("{\"~1\": 1}", "/~01"), Ok(Some("1".into())), "~01 is ~1, not a slash");
        for bad in ["type", "#/type", "/a~", "/a~2b", "/~~0", " /a"] {
            assert!(Pointer::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_string_is_its_text_and_anything_else_compact_json() {
        for (value, want) in [
            (r#""plain""#, "plain"),
            (r#""""#, ""),
            (r#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{c}\n\r\tz"),
            (r#""\u00e9\ud83d\ude00\u0000""#, "é😀\0"),
            (r#""half \ud83d a pair, \ude00\ud83d""#, "half \u{fffd} a pair, \u{fffd}\u{fffd}"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("1.50", "1.50"),
            ("-1E+2", "-1E+2"),
            ("true", "true"),
            ("null", "null"),
            (r#"{ "b" : [ 1 , "x y\" , " ] ,	"a" : { } }"#, r#"{"b":[1,"x y\" , "],"a":{}}"#),
            (r#"["\\", " "]"#, r#"["\\"," "]"#),
        ] {
            assert_eq!(at(&format!(" {{ \"v\" : {value} }} "), "/v"), Ok(Some(want.into())), "{value}");
            assert_eq!(at(value, ""), Ok(Some(want.into())), "{value}, alone");
        }
    }

    #[test]
    fn what_is_not_json_is_recognised_wherever_the_mistake_is() {
        for record in [
            "",
            " ",
            "x",
            "{",
            "{\"a\":1",
            "{\"a\":1}}",
            "{\"a\":1} {}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "{1:1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":+1}",
            "{\"a\":NaN}",
            "{\"a\":tru}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":'b'}",
            "{\"b\":[1,2,{\"c\":}],\"a\":1}",
            "{\"a\":[1,2}",
            "[1,]",
            "\u{feff}{\"a\":1}",
        ] {
            for pointer in ["/a", "/b/0", "/0", ""] {
                assert_eq!(at(record, pointer), Err(NotJson), "{record:?} {pointer}");
            }
        }
        for record in ["1", "null", "\"x\"", "[]", "{}", "\"\\ud800\"", "{\"\\ud800\":1e999}"] {
            assert_eq!(at(record, "/a"), Ok(None), "{record}");
            assert_eq!(at(record, "/a/b/c"), Ok(None), "{record}");
        }
    }

    #[test]
    fn of_members_of_the_same_name_the_last_one_counts() {
        let record = r#"{"a":{"b":1},"\u0061":{"c":2},"x":[{"y":1}],"x":3}"#;
        assert_eq!(at(record, "/a/c"), Ok(Some("2".into())));
        assert_eq!(at(record, "/a/b"), Ok(None));
        assert_eq!(at(record, "/x/0/y"), Ok(None));
    }

    #[test]
    fn pointers_may_meet_and_hold_one_another() {
        let record = r#"{"a":{"b":{"c":1,"d":2}},"e":3}"#;
        let pointers = ["/a/b", "/a/b/d", "", "/a/x", "/e"].map(|text| Pointer::parse(text).expect("is a pointer"));
        let found = find(record, pointers.each_ref().map(Some)).expect("is JSON");
        assert_eq!(found, [Some(r#"{"c":1,"d":2}"#), Some("2"), Some(record), None, Some("3")]);
        assert_eq!(find(record, [None, Some(&pointers[1])]), Ok([None, Some("2")]));
    }

    #[test]
    fn no_nesting_is_too_deep_and_no_string_too_long() {
        let deep = 300_000;
        let nested = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
        let record = format!("{{\"skipped\":{nested},\"a\":{{\"b\":{nested}}},\"type\":\"x\"}}");
        assert_eq!(at(&record, "/type"), Ok(Some("x".into())));
        assert_eq!(at(&record, "/a/b"), Ok(Some(nested.as_str().into())));
        assert_eq!(at(&record, &format!("/a/b{}", "/0".repeat(10))).map(|found| found.is_some()), Ok(true));
        assert_eq!(at(&record[..record.len() - 1], "/type"), Err(NotJson));
        let long = "x".repeat(10 << 20);
        assert_eq!(at(&format!("{{\"a\":\"{long}\\n\"}}"), "/a"), Ok(Some(format!("{long}\n").into())));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a~/\"\\\\\\n é0-2]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab~/\"01]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// serde_json's own way, which builds the whole tree, is the oracle.
        #[test]
        fn finds_what_is_found_in_the_whole_tree(
            document in json(),
            pointers in prop::array::uniform3("(/([ab01]|~0|~1|\"){0,2}){0,4}"),
            pretty in any::<bool>(),
        ) {
            let written = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
            let written = written.expect("can be written");
            let parsed = pointers.each_ref().map(|text| Pointer::parse(text).expect("is a pointer"));
            let found = find(&written, parsed.each_ref().map(Some)).expect("is JSON");
            for (pointer, found) in pointers.iter().zip(found) {
                let want = document.pointer(pointer).map(|value| match value {
                    Value::String(text) => text.clone(),
                    value => value.to_string(),
                });
                prop_assert_eq!(found.map(|found| text(found).into_owned()), want, "{} in {}", pointer, written);
            }
        }
    }
}
