// What a person can do with the events: filter by a text or by event types, pause, clear, save; and the keys.
//
// Which view is shown is left to views.js, and what a view offers by itself to the view.

import { $, make, makeButton, setText } from "./dom.js";
import { makeTest, MAX_FILTER, readFilter, UNNAMED } from "./log/filter.js";
import { cut } from "./text/characters.js";

/** The most event types that are distinguished, and the most that get a chip. */
const MAX_TYPES = 200;
const MAX_CHIPS = 12;

/** Labels of chips are cut to this. */
const MAX_LABEL = 40;

export class Controls {
  #client;
  #views;
  #onChange;
  #types = new Set(); // the event types that came, in the order in which they came
  #chosen = new Set(); // the types that the log is limited to
  #chips = ""; // the types for which there are chips
  #typed = ""; // the filter as it was last read
  #error = ""; // what is wrong with it
  #terms = []; // those of the filter as it was valid the last time
  #last = []; // those before
  #refused = null; // {expressions, why}: they were tried, and took too long
  #wrapping = false; // whether long rows are wrapped
  #marking = false; // whether what the filter finds is marked only, and nothing hidden

  /** `onChange()` is called when the person has changed something that the page says in words. */
  constructor(client, views, onChange) {
    this.#client = client;
    this.#views = views;
    this.#onChange = onChange;
    $("pause").addEventListener("click", () => this.#pause(!client.paused));
    $("clear").addEventListener("click", () => this.#clear());
    $("save").addEventListener("click", () => save(views.log.items()));
    $("newer").addEventListener("click", () => this.#follow());
    $("filter").maxLength = MAX_FILTER;
    $("filter").addEventListener("input", () => this.#choose(() => {})); // the browser has set it
    $("mark").addEventListener("click", () => this.#toggleMarking());
    $("wrap").addEventListener("click", () => this.#toggleWrapping());
    views.log.onLevel = (level) => this.#toggleLevel(level);
    views.log.expressions.onRefuse = (terms, why) => this.#refuse(terms, why);
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  // The filter

  /** Whether the log is limited in any way. */
  get filtering() {
    return (this.#terms.length > 0 && !this.#marking) || this.#chosen.size > 0;
  }

  /** Which items the log is limited to: see makeTest(). */
  get test() {
    return makeTest(this.#marking ? [] : this.#terms, this.#chosen);
  }

  #refilter() {
    $("mark").setAttribute("aria-pressed", String(this.#marking));
    $("wrap").setAttribute("aria-pressed", String(this.#wrapping));
    this.#views.log.wrap(this.#wrapping);
    if ($("filter").value !== this.#typed) this.#read();
    $("filter").setAttribute("aria-invalid", String(this.#error !== ""));
    const stays = this.#terms.length > 0 ? "the last filter stays" : "nothing is filtered";
    setText($("filter-error"), this.#error && `${this.#error}: ${stays}`);
    this.#views.log.mark(this.#terms);
    this.#views.log.filter(this.test);
    this.#onChange();
  }

  /** Reads the filter; with an error in it, the last one stays. */
  #read() {
    this.#typed = $("filter").value;
    const { terms, error } = readFilter(this.#typed);
    const again = this.#refused !== null && typedIn(terms) === this.#refused.expressions;
    this.#error = again ? this.#refused.why : error;
    if (this.#error) return;
    [this.#last, this.#terms, this.#refused] = [this.#terms, terms, null];
  }

  /** An expression among these terms takes too long: the last filter is back. */
  #refuse(terms, why) {
    if (terms !== this.#terms) return;
    const expressions = typedIn(terms);
    this.#error = why;
    this.#refused = { expressions, why };
    this.#terms = typedIn(this.#last) === expressions ? [] : this.#last;
    this.#refilter();
  }

  /** Limits the log to a level, by a term of the filter, or takes that back. */
  #toggleLevel(level) {
    const field = $("filter");
    const rest = field.value.replace(/(^|\s)level:\w+(?!\S)/gi, "").trim();
    const limited = this.#terms.some((term) => !term.not && term.level === level);
    this.#choose(() => (field.value = limited ? rest : `${rest} level:${level}`.trim()));
  }

  #toggleMarking() {
    this.#choose(() => (this.#marking = !this.#marking));
  }

  #toggleWrapping() {
    this.#choose(() => (this.#wrapping = !this.#wrapping));
  }

  /** What the person chose, as words for the address. */
  get words() {
    // No lone surrogate can be encoded.
    const filter = encodeURIComponent($("filter").value.replace(/\p{Cs}/gu, "\ufffd"));
    const words = [filter && `filter=${filter}`, this.#marking ? "mark" : "", this.#wrapping ? "wrap" : ""];
    return words.filter((word) => word !== "");
  }

  set words(words) {
    const filter = words.find((word) => word.startsWith("filter="))?.slice("filter=".length) ?? "";
    $("filter").value = decode(filter).slice(0, MAX_FILTER);
    this.#marking = words.includes("mark");
    this.#wrapping = words.includes("wrap");
    this.#refilter();
  }

  #choose(set) {
    set();
    this.#refilter();
    this.#views.wordsChanged();
  }

  /** Notes the type of an event. */
  addType(item) {
    if (this.#types.size < MAX_TYPES) this.#types.add(item.type || UNNAMED);
  }

  /** A chip for each event type, once there are several. */
  showTypes() {
    const several = this.#types.size > 1;
    $("types").hidden = !several;
    const names = [...this.#types].slice(0, MAX_CHIPS);
    if (!several || names.join("\n") === this.#chips) return;
    this.#chips = names.join("\n");
    $("types").replaceChildren(...names.map((name) => this.#makeChip(name)));
  }

  #makeChip(name) {
    const chip = makeButton("chip", cut(name, MAX_LABEL), () => {
      if (!this.#chosen.delete(name)) this.#chosen.add(name);
      chip.setAttribute("aria-pressed", String(this.#chosen.has(name)));
      this.#refilter();
    });
    chip.setAttribute("aria-pressed", String(this.#chosen.has(name)));
    chip.title = `Only events of type ${cut(name, 1000)}`;
    return chip;
  }

  // Pause, clear

  #pause(on) {
    this.#client.pause(on);
    $("pause").setAttribute("aria-pressed", String(on));
    setText($("pause"), on ? "Resume" : "Pause");
    $("display-paused").hidden = !on;
    if (!on) this.#views.log.follow();
    this.#onChange();
  }

  #follow() {
    if (this.#client.paused) this.#pause(false);
    else this.#views.log.follow();
    $("log").focus({ preventScroll: true });
  }

  #clear() {
    this.#client.clear();
    this.#types.clear();
    this.#chosen.clear();
    this.#chips = "";
    this.showTypes();
    this.#views.clear(this.test);
    this.#client.ask();
    this.#onChange();
  }

  // Keys

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const filter = $("filter");
    if (event.key === "Escape" && event.target === filter) {
      this.#choose(() => (filter.value = ""));
      $("log").focus({ preventScroll: true });
    } else if (event.target.closest("input, textarea, select")) {
      return; // there a key means what it always means
    } else if (event.key === " " && !event.repeat && !event.target.closest("button, a, summary")) {
      this.#pause(!this.#client.paused);
    } else if (["1", "2", "3"].includes(event.key)) {
      this.#views.goToTab(Number(event.key));
    } else if (event.key === "/") {
      this.#views.go("log");
      filter.focus();
      filter.select();
    } else if (event.key === "m") {
      this.#views.go("log");
      this.#toggleMarking();
    } else if (event.key === "w") {
      this.#views.go("log");
      this.#toggleWrapping();
    } else if (event.key === "g") {
      this.#views.go("log");
      this.#follow();
    } else {
      return;
    }
    event.preventDefault();
  }
}

/** The regular expressions among terms, as a text. */
function typedIn(terms) {
  return terms.flatMap(({ typed, expression }) => (typed ? [expression] : [])).join(" ");
}

/** A part of the address as a text; as it is, if it is not encoded as it should be. */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Saves the events among some items as NDJSON: time, ID and type if there are any, and the data as a string. */
function save(items) {
  const parts = [];
  for (const { time, id, type, data, notice } of items) {
    if (notice) continue;
    const event = {
      time: new Date(time).toISOString(),
      ...(id !== "" && { id }),
      ...(type !== "" && { event: type }),
      data,
    };
    parts.push(`${JSON.stringify(event)}\n`);
  }
  const link = make("a");
  link.href = URL.createObjectURL(new Blob(parts, { type: "application/x-ndjson" }));
  const now = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  link.download = `${location.host.replace(/[^\w.-]+/g, "-")}-${now}.ndjson`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
