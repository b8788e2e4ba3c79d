// Coordinates in degrees: as a number, with a hemisphere's letter, or in degrees, minutes and seconds.

/** A longer text is not a coordinate. */
const MAX_LENGTH = 40;

const PART = "[0-9]{1,3}(?:\\.[0-9]{1,12})?";
const ANGLE = `(${PART})(?:[ °d]{1,2}(${PART})(?:[ '′’m]{1,2}(${PART}))?)?[ °'′’"″]{0,3}`;
const TWO_NUMBERS = /^([+-]?\d{1,3}(?:\.\d{1,20})?)(?: ?[,;\t] ?| {1,8})([+-]?\d{1,3}(?:\.\d{1,20})?)$/;
const COORDINATE = new RegExp(`^(?:([NSEW]) ?)?([+-]?)${ANGLE}([NSEW])?$`);

/** The degrees that a member or a cell says, or null. `letters` are those of its hemispheres, the second is negative. */
export function degrees(value, letters) {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value !== "string" || value.length > MAX_LENGTH) return null;
  const found = COORDINATE.exec(value.trim());
  if (!found) return null;
  const [, before, sign, whole, minutes = "0", seconds = "0", after] = found;
  const letter = before ?? after;
  if (letter !== undefined && !letters.includes(letter)) return null;
  if (before !== undefined && after !== undefined) return null;
  // Nine decimals are a tenth of a millimetre.
  const angle = Number((Number(whole) + Number(minutes) / 60 + Number(seconds) / 3600).toFixed(9));
  return sign === "-" || letter === letters[1] ? -angle : angle;
}

/** The position that a line is if it has the letters of both hemispheres, as {lat, lon}, or null. */
export function position(line) {
  const text = line.trim();
  if (text.length > 2 * MAX_LENGTH) return null;
  // The letters come before both coordinates or after both, so that where the second begins is certain.
  const cut = /^[NS]/.test(text) ? text.search(/[EW]/) : text.search(/[NS]/) + 1;
  if (cut <= 0) return null;
  const lat = text.slice(0, cut).replace(/[\s,;]{1,8}$/, "");
  const lon = text.slice(cut).replace(/^[\s,;]{1,8}/, "");
  if (!/[NS]/.test(lat) || !/[EW]/.test(lon)) return null;
  const found = { lat: degrees(lat, "NS"), lon: degrees(lon, "EW") };
  return found.lat === null || found.lon === null ? null : found;
}

/** The position that a text of two numbers "lat,lon" may be, as {lat, lon}, or null. */
export function twoNumbers(text) {
  const found = text.length > 2 * MAX_LENGTH ? null : TWO_NUMBERS.exec(text.trim());
  if (!found) return null;
  const [lat, lon] = [Number(found[1]), Number(found[2])];
  return inRange(lat, lon) ? { lat, lon: wrapped(lon) } : null;
}

/** The longitude from -180 to 180; up to 360 are in use. */
export function wrapped(lon) {
  return lon > 180 ? lon - 360 : lon < -180 ? lon + 360 : lon;
}

/** Whether these can be degrees at all. */
export function inRange(lat, lon) {
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 360;
}
