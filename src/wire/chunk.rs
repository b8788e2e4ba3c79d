//! The chunked transfer coding (RFC 9112 § 7.1), the part that a sender needs.
//!
//! `chunk = chunk-size CRLF chunk-data CRLF`, without extensions; the stream ends with the last-chunk.

/// The last-chunk and the empty trailer section: the end of the stream.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The most digits that a chunk-size has here.
pub const MAX_SIZE: usize = usize::BITS as usize / 4;

/// The line end of HTTP.
pub const CRLF: &[u8] = b"\r\n";

/// The length of a chunk that carries `data` bytes, its framing included.
#[inline]
pub fn encoded_len(data: usize) -> usize {
    hex_digits(data) + CRLF.len() + data + CRLF.len()
}

/// Appends one chunk of `len` bytes of chunk-data, which `write_data` appends.
///
/// A chunk of no data would be the last-chunk and end the stream, so nothing is written for `len` 0.
#[inline]
pub fn write(out: &mut Vec<u8>, len: usize, write_data: impl FnOnce(&mut Vec<u8>)) {
    if len == 0 {
        return;
    }
    let mut size = [0; MAX_SIZE];
    let size_start = write_size(&mut size, len);
    out.extend_from_slice(&size[size_start..]);
    out.extend_from_slice(CRLF);
    let start = out.len();
    write_data(out);
    debug_assert_eq!(out.len() - start, len, "the chunk-size must tell the length of the chunk-data");
    out.extend_from_slice(CRLF);
}

/// The chunk-size of `len` bytes of chunk-data, written at the end of `out`. Returns its start.
#[inline]
pub fn write_size(out: &mut [u8; MAX_SIZE], len: usize) -> usize {
    let (mut start, mut rest) = (MAX_SIZE, len);
    loop {
        start -= 1;
        out[start] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
        if rest == 0 {
            return start;
        }
    }
}

/// Where the chunk-data is in `chunk`, one whole chunk as [`write()`] makes it. A client that doesn't know chunks
/// (HTTP/1.0) is sent this alone.
pub fn data(chunk: &[u8]) -> std::ops::Range<usize> {
    let size_line = memchr::memchr(b'\n', chunk).map_or(0, |lf| lf + 1);
    size_line..chunk.len().saturating_sub(CRLF.len()).max(size_line)
}

fn hex_digits(n: usize) -> usize {
    (usize::BITS - n.leading_zeros()).div_ceil(4).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, data.len(), |out| out.extend_from_slice(data));
        out
    }

    #[test]
    fn frames_data_with_its_size_in_hexadecimal() {
        for (data, want) in [
            (&b"a"[..], &b"1\r\na\r\n"[..]),
            (b"0123456789abcde", b"f\r\n0123456789abcde\r\n"),
            (b"0123456789abcdef", b"10\r\n0123456789abcdef\r\n"),
        ] {
            assert_eq!(chunk(data), want);
        }
        assert!(chunk(&[b'x'; 4096]).starts_with(b"1000\r\nx"));
    }

    #[test]
    fn writes_no_empty_chunk_for_it_would_end_the_stream() {
        assert_eq!(chunk(b""), b"");
    }

    #[test]
    fn finds_the_data_again_and_knows_the_length_before() {
        for len in [1, 9, 15, 16, 255, 256, 4095, 4096, 65536] {
            let data_in: Vec<u8> = (0..len).map(|i| b"a\r\nb0"[i % 5]).collect();
            let whole = chunk(&data_in);
            assert_eq!(&whole[data(&whole)], data_in, "length {len}");
            assert_eq!(encoded_len(len), whole.len(), "length {len}");
        }
    }
}
