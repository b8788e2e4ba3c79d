//! Making UTF-8 of bytes that are none, as a browser's decoder would (WHATWG Encoding § 4.1, "replacement").
//!
//! Each maximal part of an ill-formed sequence becomes one U+FFFD (Unicode § 3.9, "best practice").

/// U+FFFD, and a byte to make it four: whatever is written, four bytes are, and the next overwrites what is too much.
const REPLACEMENT: [u8; 4] = [0xef, 0xbf, 0xbd, 0];
/// Input is taken in pieces of so many bytes; each may become three.
const PIECE: usize = 256;
/// So many bytes are looked at together.
const STEP: usize = 8;

/// Appends `bytes` to `out`, with U+FFFD in the place of whatever is no UTF-8.
///
/// Binary input is to be fast, too: most of its bytes stand alone, and those take no branch, for every other one would
/// be a wrong guess. Where a sequence may begin is found for a whole piece at once, in a loop that vectorises.
pub fn write_lossy(mut bytes: &[u8], out: &mut Vec<u8>) {
    let mut piece = [0; PIECE + 1];
    let mut leads = [0; PIECE + STEP];
    let mut text = [0; PIECE * 3 + 4];
    while !bytes.is_empty() {
        let (end, seen) = (bytes.len().min(PIECE), bytes.len().min(PIECE + 1));
        piece[..seen].copy_from_slice(&bytes[..seen]);
        piece[seen..].fill(0);
        for nth in 0..PIECE {
            let (byte, next) = (piece[nth], piece[nth + 1]);
            leads[nth] = u8::from((0xc2..=0xf4).contains(&byte) & (next & 0xc0 == 0x80));
        }
        let (mut read, mut written) = (0, 0);
        while read < end {
            let step = leads[read..].first_chunk::<STEP>().expect("there is one step more than a piece");
            let alone = (u64::from_le_bytes(*step).trailing_zeros() as usize / 8).min(end - read);
            for &byte in &piece[read..read + alone] {
                let high = byte >> 7; // 0: ASCII, it stays; 1: it is replaced
                let mask = 0_u32.wrapping_sub(high.into());
                let four = u32::from(byte) & !mask | u32::from_le_bytes(REPLACEMENT) & mask;
                text[written..written + 4].copy_from_slice(&four.to_le_bytes());
                written += 1 + 2 * usize::from(high);
            }
            read += alone;
            if alone < STEP && read < end {
                let (char, len, taken) = sequence(&bytes[read..]);
                text[written..written + 4].copy_from_slice(&char);
                written += len;
                read += taken;
            }
        }
        out.extend_from_slice(&text[..written]);
        bytes = &bytes[read..];
    }
}

/// What a lead byte and what follows become: a character, its length, and how many bytes it takes the place of.
/// The second byte of `bytes` is a continuation byte.
fn sequence(bytes: &[u8]) -> ([u8; 4], usize, usize) {
    let lead = bytes[0];
    if lead < 0xe0 {
        return ([lead, bytes[1], 0, 0], 2, 2);
    }
    // Unicode, table 3-7: the lead byte narrows the second one; the others may be any continuation byte.
    let (least, most) = match lead {
        0xe0 => (0xa0, 0xbf),
        0xed => (0x80, 0x9f),
        0xf0 => (0x90, 0xbf),
        0xf4 => (0x80, 0x8f),
        _ => (0x80, 0xbf),
    };
    let len = if lead < 0xf0 { 3 } else { 4 };
    if !(least..=most).contains(&bytes[1]) {
        return (REPLACEMENT, 3, 1);
    }
    let mut char = [lead, bytes[1], 0, 0];
    for (nth, place) in char.iter_mut().enumerate().take(len).skip(2) {
        match bytes.get(nth) {
            Some(&byte) if byte & 0xc0 == 0x80 => *place = byte,
            _ => return (REPLACEMENT, 3, nth),
        }
    }
    (char, len, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) {
        let mut out = Vec::new();
        write_lossy(bytes, &mut out);
        assert_eq!(out, String::from_utf8_lossy(bytes).as_bytes(), "{bytes:x?}");
    }

    #[test]
    fn every_short_sequence_of_telling_bytes_is_replaced_as_the_standard_library_does() {
        let telling = [b'a', 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];
        for len in 0..=5 {
            for n in 0..16u32.pow(len) {
                let bytes: Vec<u8> = (0..len).map(|nth| telling[(n >> (4 * nth)) as usize & 15]).collect();
                check(&bytes);
            }
        }
    }

    #[test]
    fn the_borders_of_pieces_are_seen_by_nobody() {
        for shift in 0..5 {
            let text = format!("{}{}", "x".repeat(shift), "é€😀a".repeat(300));
            for cut in 0..5 {
                check(&text.as_bytes()[..text.len() - cut]);
            }
        }
        check(&[0xff; 3000]);
    }
}
