// The parser of event streams: WHATWG HTML, sections 9.2.5 and 9.2.6. Bytes in, events and comments out.
//
// It uses no page, network or clock. connection.js feeds it.

/** The longest event that is assembled, in UTF-16 units; a longer one is skipped and reported. */
const MAX_EVENT = 64 * 1024 * 1024;

/**
 * Bytes go in by `push`, cut anywhere; out come calls:
 *
 * - `onEvent({type, data, id})`: `type` is "" if the stream names none, `id` is null if this event has none of its own;
 * - `onComment(text)`, `onRetry(ms)`, `onOverlong()` (an event longer than `maxEvent`).
 *
 * `lastEventId` changes at the blank line, as in the standard, even if there was no data. There is one departure, which
 * browsers make too: a new connection continues with the last event ID of the one before. Otherwise an event without an
 * ID would forget where to resume.
 */
export class EventStreamParser {
  #decoder = new TextDecoder(); // strips the BOM, substitutes U+FFFD, keeps a cut character
  #on;
  #max;
  #line = []; // the pieces of a line that has not ended yet
  #lineLength = 0;
  #lineOverlong = false;
  #afterCR = false; // the next LF belongs to a CR that ended the last line
  #type = "";
  #data = [];
  #dataLength = 0;
  #overlong = false;
  #id; // the last event ID buffer
  #ownId = false;

  constructor(on, { lastEventId = "", maxEvent = MAX_EVENT } = {}) {
    this.#on = on;
    this.#max = maxEvent;
    this.#id = lastEventId;
    this.lastEventId = lastEventId;
  }

  push(bytes) {
    const text = this.#decoder.decode(bytes, { stream: true });
    let at = 0;
    if (this.#afterCR && text.length > 0) {
      this.#afterCR = false;
      if (text[0] === "\n") at = 1;
    }
    // The next of each kind is looked up only once it has been passed. Otherwise a stream without any CR would be
    // searched to its end for every line.
    let lf = text.indexOf("\n", at);
    let cr = text.indexOf("\r", at);
    while (at < text.length) {
      if (lf !== -1 && lf < at) lf = text.indexOf("\n", at);
      if (cr !== -1 && cr < at) cr = text.indexOf("\r", at);
      const end = lf === -1 ? cr : cr === -1 ? lf : Math.min(lf, cr);
      if (end === -1) break;
      this.#endLine(text.slice(at, end));
      at = end + 1;
      if (end === cr) {
        // A CR ends the line at once: waiting for its LF would delay an event.
        if (at === text.length) this.#afterCR = true;
        else if (text[at] === "\n") at += 1;
      }
    }
    if (at < text.length) this.#keep(text.slice(at));
  }

  #keep(piece) {
    this.#lineLength += piece.length;
    if (this.#lineOverlong) return;
    this.#line.push(piece);
    if (this.#lineLength > this.#max) {
      this.#lineOverlong = true;
      this.#line = [this.#line[0].slice(0, 1)]; // enough to recognise a comment
    }
  }

  #endLine(piece) {
    if (this.#line.length === 0) {
      this.#field(piece);
      return;
    }
    this.#keep(piece);
    const line = this.#line.join("");
    const overlong = this.#lineOverlong;
    this.#line = [];
    this.#lineLength = 0;
    this.#lineOverlong = false;
    if (!overlong) this.#field(line);
    else if (line !== ":") this.#overlong = true;
  }

  #field(line) {
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    switch (name) {
      case "":
        this.#on.onComment(value);
        break;
      case "event":
        this.#type = value;
        break;
      case "data":
        this.#dataLength += value.length + 1;
        if (this.#dataLength > this.#max) {
          this.#overlong = true;
          this.#data = [];
        } else if (!this.#overlong) {
          this.#data.push(value);
        }
        break;
      case "id":
        if (!value.includes("\0")) {
          this.#id = value;
          this.#ownId = true;
        }
        break;
      case "retry":
        if (/^[0-9]+$/.test(value)) this.#on.onRetry(Number(value));
        break;
    }
  }

  #dispatch() {
    this.lastEventId = this.#id;
    if (this.#overlong) {
      this.#on.onOverlong();
    } else if (this.#data.length > 0) {
      // A type that is named "message" is the unnamed one (9.2.6).
      const type = this.#type === "message" ? "" : this.#type;
      const data = this.#data.length === 1 ? this.#data[0] : this.#data.join("\n");
      this.#on.onEvent({ type, data, id: this.#ownId ? this.#id : null });
    }
    this.#type = "";
    this.#data = [];
    this.#dataLength = 0;
    this.#overlong = false;
    this.#ownId = false;
  }
}
