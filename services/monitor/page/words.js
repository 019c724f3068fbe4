// Every text of the pages that is chosen by a value, and how numbers, ages and bytes are written.

/** State of a device → [the word, how it is coloured, what to do next]. */
export const STATES = {
  unknown: ["unknown", "quiet", "Nothing has been heard of its process yet. Right after a start that takes a moment."],
  not_running: ["not running", "bad", "Its process does not run: `serialgw logs` says why."],
  connector_failed: ["connector failed", "bad", "Your connector has ended with an error; its log has the traceback."],
  connector_restarted: ["connector restarted", "bad", "Your connector's process has ended and was started again."],
  connector_opening: ["connector opening", "bad", "Your connector's open() has not come back."],
  connector_ended: ["connector ended", "bad", "Your connector has stopped by itself."],
  not_stored: ["not stored", "bad", "Its journal can't be written: look at the disk."],
  port_closed: ["port closed", "bad", "Plug the adapter in, or see why it can't be opened: `serialgw doctor` tells."],
  losing_data: ["losing data", "bad", "The journal is full or can't be written: widen `storage`, or bring the platform back."],
  no_frame_end: ["no frame end", "bad", "Bytes come and no frame ends: compare the delimiter, the speed and the form of the bytes."],
  no_answer: ["no answer", "bad", "It is asked and does not answer: address, wiring (A and B), speed."],
  late_answers: ["late answers", "bad", "It answers after its time: set a longer timeoutMs."],
  not_ready: ["not ready", "bad", "It has not taken its init: see the reason."],
  no_values: ["no values", "bad", "Frames come and no value is found in them: compare the data points with the frames below."],
  not_accepted: ["not accepted", "bad", "The platform does not take it; the reason is the platform's own."],
  left_out: ["left out", "quiet", "deviceFiltering leaves it out: nothing of it is sent."],
  slowed_down: ["slowed down", "warn", "The line says more than the platform takes; it is read as fast as that goes."],
  damaged_frames: ["damaged frames", "warn", "Checksums fail: noise on the line, or another checksum than the configured one."],
  some_values_missing: ["some values missing", "warn", "Some data points find nothing, or fail: see the reason."],
  silent: ["silent", "warn", "It has said nothing for longer than it used to: is it on, is its cable right?"],
  receiving: ["receiving", "good", ""],
  idle: ["idle", "quiet", "The port is open, and nothing has come yet."],
};

/** Kind of event → what to do next, where that is no matter of a state. */
const NEXT = {
  platform: "Devices keep what they say in their journals meanwhile. `serialgw doctor` tries the way to the platform step by step.",
  process: "It is started again by itself. If it comes to nothing: `serialgw logs` says why.",
  log: "`serialgw logs` shows the lines around it.",
  change: "Nothing was changed, or not all of it: the reason says why.",
};

/** What is known of a state, also of one that this page does not know. */
export function stateOf(word) {
  return Object.hasOwn(STATES, word) ? STATES[word] : [String(word).replaceAll("_", " "), "warn", ""];
}

/** "3 s", "12 min", "5 h", "2 d". */
export function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} d`;
}

/** "just now", "3 s ago". */
export function ago(seconds) {
  return seconds < 2 ? "just now" : `${age(seconds)} ago`;
}

/** 1234567 → "1,234,567"; "" for nothing to say. */
export function count(number) {
  return number ? Number(number).toLocaleString("en") : "";
}

/** "3 frames", "1 frame". */
export function counted(number, thing) {
  return `${Number(number).toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
}

/** A rate for a person: "12/s", "2.5/min", "4/h"; "" for none. As `serialgw status` writes it. */
export function rate(hz) {
  if (!(hz > 0)) return "";
  const [unit, size] = hz >= 1 ? ["s", 1] : hz * 60 >= 1 ? ["min", 60] : ["h", 3600];
  const number = hz * size;
  return `${number < 10 ? Number(number.toPrecision(2)) : Math.round(number).toLocaleString("en")}/${unit}`;
}

/** 2048 → "2.0 KiB". */
export function bytes(number) {
  if (number < 1024) return `${number} B`;
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (number >= size) return `${(number / size).toFixed(1)} ${unit}`;
  }
  return "";
}

const two = (number) => String(number).padStart(2, "0");

/** The time of day with milliseconds, in this browser's zone. */
export function clock(ms) {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** The offset of this browser's clock from UTC at a moment: "+01:00". */
export function zoned(ms) {
  const minutes = -new Date(ms).getTimezoneOffset();
  return `UTC${minutes < 0 ? "-" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

/** ["2026-11-30", "14:02:11 +01:00"], in this browser's zone. */
export function moment(ms) {
  const at = new Date(ms);
  return [`${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`,
    `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())} ${zoned(ms).slice(3)}`];
}

/** What to do after an event; "" for nothing. */
export function nextStep(event) {
  if (event.kind === "device" || event.kind === "port") {
    const [, look, next] = stateOf(event.to);
    return look === "bad" || look === "warn" ? next : "";
  }
  return event.level === "info" ? "" : NEXT[event.kind] ?? "";
}

/** Bytes in hexadecimal → as text, with everything that is no plain ASCII as an escape. */
export function asText(hex) {
  let text = "";
  for (let at = 0; at < hex.length; at += 2) {
    const byte = parseInt(hex.slice(at, at + 2), 16);
    if (byte === 10) text += "\\n";
    else if (byte === 13) text += "\\r";
    else if (byte === 9) text += "\\t";
    else if (byte === 92) text += "\\\\";
    else if (byte >= 32 && byte < 127) text += String.fromCharCode(byte);
    else text += `\\x${hex.slice(at, at + 2)}`;
  }
  return text;
}

/** "aa01ff" → "aa 01 ff". */
export function asHex(hex) {
  return hex.replace(/(..)(?=.)/g, "$1 ");
}

/** A value of JSON for a person; control characters and such that turn the direction of writing are escapes. */
export function asValue(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return harmless(text);
}

/** Text that comes from outside, without characters that nobody sees or that turn others round. */
export function harmless(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (found) => `\\u${found.codePointAt(0).toString(16).padStart(4, "0")}`);
}

/** The one sentence on top: the worst that there is. [text, class] */
export function sentenceOf(devices, link, backlog) {
  const unserved = devices.filter((device) => !device.is_served);
  const waiting = backlog && backlog.frames ? `, ${counted(backlog.frames, "frame")} waiting` : "";
  if (link && link.state !== "up") {
    const why = link.fault ? `: ${link.fault}` : "";
    return [`The platform is not reached (${link.state})${why}${waiting}`, "bad"];
  }
  if (unserved.length === 1) return [`${unserved[0].name}: ${stateOf(unserved[0].state)[0]}${unserved[0].reason ? `, ${unserved[0].reason}` : ""}`, "bad"];
  if (unserved.length) {
    const named = unserved.slice(0, 3).map((device) => `${device.name} (${stateOf(device.state)[0]})`).join(", ");
    const more = unserved.length > 3 ? ` and ${unserved.length - 3} more` : "";
    return [`${unserved.length} of ${counted(devices.length, "device")} are not served: ${named}${more}${waiting}`, "bad"];
  }
  if (!devices.length) return ["No device is configured. `serialgw ports` lists the adapters that are there, `serialgw init` writes a first configuration.", "warn"];
  return [`${counted(devices.length, "device")} served, platform up${waiting}`, "good"];
}
