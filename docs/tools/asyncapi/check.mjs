// Reads an AsyncAPI document with AsyncAPI's own parser; ends with 1 and a line per problem when something is wrong.
// `node check.mjs FILE`

import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const WARNING = 1;
const file = process.argv[2];
const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"), { source: file });
const problems = diagnostics.filter((diagnostic) => diagnostic.severity <= WARNING);
for (const { path, code, message, range } of problems) {
  console.error(`${file}:${range.start.line + 1}: ${message} [${code}] at ${path.join(".")}`);
}
if (!document || problems.length > 0) {
  console.error(`${file}: ${problems.length} problems`);
  process.exit(1);
}
const counts = { channels: document.channels(), operations: document.operations(), messages: document.messages() };
const words = Object.entries(counts).map(([what, all]) => `${all.all().length} ${what}`);
console.log(`${file} is valid AsyncAPI ${document.version()}: ${words.join(", ")}`);
