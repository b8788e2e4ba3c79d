//! From bytes to the chunks that clients are sent, including how input is split on the way.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use sse_pipe::input::encoder::{Encoder, EncoderConfig, Full};
use sse_pipe::input::json::{self, Pointer};
use sse_pipe::input::json_texts::JsonTexts;
use sse_pipe::input::line_ends::LineEnds;
use sse_pipe::input::records::{Next, Record, Splitter, Terminator};
use sse_pipe::log::batch::Draft;
use sse_pipe::log::id::Run;
use sse_pipe::log::memory::{BLOCK, Memory};
use sse_pipe::wire::event_stream::Parser;
use std::sync::Arc;

fn main() {
    divan::main();
}

/// What one read of a full pipe brings.
const READ: usize = 1 << 20;
const MAX_RECORD: usize = 16 << 20;
const SIZES: [usize; 3] = [32, 200, 4096];

/// A record of this many bytes.
type Kind = fn(usize) -> Vec<u8>;

fn ascii(size: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(size).collect()
}

/// Words of many languages: characters of one, two, three and four bytes.
fn utf8(size: usize) -> Vec<u8> {
    let mut text: String = "naïve Straße 中文字 Ελλάδα 😀 plain ".chars().cycle().take(size).collect();
    while text.len() > size {
        text.pop();
    }
    let missing = size - text.len();
    text.extend(std::iter::repeat_n('.', missing));
    text.into_bytes()
}

/// The same, with a byte in every ten that is not UTF-8.
fn invalid(size: usize) -> Vec<u8> {
    let mut bytes = utf8(size);
    bytes.iter_mut().step_by(10).for_each(|byte| *byte = 0xff);
    bytes
}

/// As many lines as one read brings.
fn lines(kind: Kind, size: usize) -> (Vec<u8>, usize) {
    let line = [kind(size), b"\n".to_vec()].concat();
    let count = READ / line.len();
    (line.repeat(count), count)
}

fn record(encoder: &mut Encoder, record: Record<'_>, draft: &mut Draft) {
    if encoder.record(record, draft) == Err(Full) {
        draft.finish(None);
        encoder.record(record, draft).expect("an empty draft has room");
    }
}

/// Splits a read and encodes it into batches, as the reader does.
fn encode(bencher: Bencher, kind: Kind, size: usize) {
    let (input, count) = lines(kind, size);
    let memory = Arc::new(Memory::new(BLOCK));
    let config = EncoderConfig { event: None, ids: Some(Run::new(0)), max_record: MAX_RECORD, buffer: 64 << 20 };
    let mut encoder = Encoder::new(config);
    let mut draft = Draft::new(memory);
    let mut splitter = Splitter::new(Terminator::Newline, MAX_RECORD);
    bencher.counter(BytesCount::new(input.len())).counter(ItemsCount::new(count)).bench_local(|| {
        splitter.push(black_box(&input), |next| match next {
            Next::Lines(mut lines) => loop {
                lines = encoder.lines(lines, &mut draft);
                let Some(line) = lines.next() else { return };
                record(&mut encoder, Record::Bytes(line), &mut draft);
            },
            Next::Record(next) => record(&mut encoder, next, &mut draft),
        });
        draft.finish(None)
    });
}

#[divan::bench(args = SIZES)]
fn encode_ascii(bencher: Bencher, size: usize) {
    encode(bencher, ascii, size);
}

#[divan::bench(args = SIZES)]
fn encode_utf8(bencher: Bencher, size: usize) {
    encode(bencher, utf8, size);
}

#[divan::bench(args = SIZES)]
fn encode_invalid(bencher: Bencher, size: usize) {
    encode(bencher, invalid, size);
}

#[divan::bench(args = SIZES)]
fn split(bencher: Bencher, size: usize) {
    let (input, count) = lines(ascii, size);
    let mut splitter = Splitter::new(Terminator::Newline, MAX_RECORD);
    bencher.counter(BytesCount::new(input.len())).counter(ItemsCount::new(count)).bench_local(|| {
        let mut bytes = 0;
        splitter.push(black_box(&input), |next| {
            if let Next::Lines(lines) = next {
                bytes += LineEnds::new(lines.bytes, lines.terminator).sum::<usize>();
            }
        });
        bytes
    });
}

/// Parts of a record of 200 bytes: one, or three of which one is nested.
#[divan::bench(args = [1, 3])]
fn json_pointers(bencher: Bencher, pointers: usize) {
    let record = format!(
        r#"{{"type":"position","seq":12345,"time":"2026-01-01T00:00:00Z","payload":{{"lat":52.52,"lon":13.405}},"note":"{}"}}"#,
        "x".repeat(92)
    );
    let all = ["/type", "/seq", "/payload/lat"].map(|text| Pointer::parse(text).expect("is a pointer"));
    let wanted: [Option<&Pointer>; 3] = std::array::from_fn(|nth| (nth < pointers).then_some(&all[nth]));
    bencher.counter(BytesCount::of_str(&record)).bench_local(|| json::find(black_box(&record), wanted));
}

/// Records of 200 bytes, one a line or over several lines (300 bytes).
#[divan::bench(args = ["compact", "pretty"])]
fn json_texts(bencher: Bencher, layout: &str) {
    let tail = r#""payload":{"lat":52.52,"lon":13.405,"alt":[1,2,3]},"tags":["a","b"]}"#;
    let head = r#"{"type":"position","seq":12345,"time":"2026-01-01T00:00:00Z","ok":true,"note":""#;
    let text = format!("{head}{}\",{tail}", "x".repeat(200 - head.len() - tail.len() - 2));
    let text = match layout {
        "compact" => text,
        _ => serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&text).expect("is JSON"))
            .expect("is"),
    };
    let count = READ / (text.len() + 1);
    let input = (text + "\n").repeat(count);
    let mut texts = JsonTexts::new(MAX_RECORD);
    bencher.counter(BytesCount::of_str(&input)).counter(ItemsCount::new(count)).bench_local(|| {
        let mut bytes = 0;
        texts.push(black_box(input.as_bytes()), |record| {
            if let Record::Bytes(text) = black_box(record) {
                bytes += text.len();
            }
        });
        bytes
    });
}

/// An event stream with types and IDs.
#[divan::bench(args = SIZES)]
fn event_stream(bencher: Bencher, size: usize) {
    let data = String::from_utf8(utf8(size)).expect("is text");
    let event = format!("event: position\ndata: {data}\nid: 12345\n\n");
    let count = READ / event.len();
    let input = event.repeat(count);
    let mut parser = Parser::new(MAX_RECORD);
    bencher.counter(BytesCount::of_str(&input)).counter(ItemsCount::new(count)).bench_local(|| {
        let mut items = 0;
        parser.push(black_box(input.as_bytes()), |item| {
            black_box(item);
            items += 1;
        });
        items
    });
}
