// Evaluates JSONata with the reference implementation, as Step Functions offers it.
//
//     node reference.js <jsonata.js> <cases> <answers>
//
// A case is a line of JSON, {"expression", "bindings", "at"}; its answer one more: {"value"}, {} where the expression yields
// nothing, or {"error"}. `at` is the time for $now and $millis. It reads and writes nothing else.
"use strict";

const crypto = require("crypto");
const fs = require("fs");
const jsonata = require(fs.realpathSync(process.argv[2]));

const HASHES = ["MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512"];

// What Step Functions adds to JSONata 2.0.6. $eval it takes away.
const ADDED = {
  eval: () => refuse("$eval is not available"),
  hash: (text, algorithm) => {
    if (typeof text !== "string" || !HASHES.includes(algorithm)) refuse("$hash of what is no text, or by another algorithm");
    return crypto.createHash(algorithm.replace("SHA-", "SHA")).update(text, "utf8").digest("hex");
  },
  parse: (text) => (typeof text === "string" ? JSON.parse(text) : refuse("$parse of what is no text")),
  partition: (list, size) => {
    const length = Math.floor(size);
    if (!Array.isArray(list) || !(length > 0)) refuse("$partition of what is no list, or by no size");
    return Array.from({ length: Math.ceil(list.length / length) }, (_, i) => list.slice(i * length, (i + 1) * length));
  },
  random: () => Math.random(),
  range: (first, last, step) => {
    const [from, to, by] = [first, last, step].map(Math.floor);
    if (!by || Number.isNaN(from + to + by)) refuse("$range by no step");
    const values = [];
    for (let value = from; by > 0 ? value <= to : value >= to; value += by) values.push(value);
    return values;
  },
  uuid: () => crypto.randomUUID(),
};

function refuse(why) {
  throw new Error(why);
}

const parsed = new Map();

function expressionOf(text) {
  if (!parsed.has(text)) {
    const expression = jsonata(text);
    for (const [name, implementation] of Object.entries(ADDED)) expression.registerFunction(name, implementation);
    parsed.set(text, expression);
  }
  return parsed.get(text);
}

async function answer({ expression, bindings, at }) {
  const now = (picture) => (picture === undefined ? new Date(at).toISOString() : refuse("$now with a picture is not replayed"));
  try {
    const value = await expressionOf(expression).evaluate(undefined, { ...bindings, now, millis: () => at });
    if (value === undefined) return {};
    const text = JSON.stringify(value);
    const isFunction = typeof value === "function" || (value && value._jsonata_lambda);
    return text === undefined || isFunction ? { error: "what it yields is no JSON" } : { value: JSON.parse(text) };
  } catch (error) {
    return { error: `${error.code ? `${error.code}: ` : ""}${error.message}` };
  }
}

async function main() {
  const lines = fs.readFileSync(process.argv[3], "utf8").split("\n").filter(Boolean);
  const answers = [];
  for (const line of lines) answers.push(JSON.stringify(await answer(JSON.parse(line))));
  fs.writeFileSync(process.argv[4], answers.map((text) => `${text}\n`).join(""));
}

main();
