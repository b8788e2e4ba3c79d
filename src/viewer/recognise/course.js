// Where an object is heading, in degrees from north, clockwise.

import { quantity } from "./quantity.js";

/** Slower than this, in any unit, an object counts as standing still: the course that its receiver computes is noise. */
const STANDING = 0.5;

/**
 * The course that values under the roles "course", "heading" and "speed" say, or null if they say there is none.
 * While an object stands still, only its heading is used, which comes from a compass.
 */
export function courseOf({ course, heading, speed }) {
  const slow = number(speed);
  const standing = slow !== null && Math.abs(slow) < STANDING;
  return (standing ? null : degreesOf(course)) ?? degreesOf(heading);
}

/** AIS says 360 or 511 if there is none, others -1 or nothing. */
function degreesOf(value) {
  const degrees = number(value);
  return degrees !== null && degrees >= 0 && degrees < 360 ? degrees : null;
}

function number(value) {
  if (typeof value === "string") return quantity(value.trim())?.value ?? null;
  return typeof value === "number" ? value : null;
}
