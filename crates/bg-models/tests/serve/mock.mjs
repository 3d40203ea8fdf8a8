// aimock with a file of fixtures, until stdin ends.
//
// Arguments: the folder of its package, the file. Prints its address. Whoever started it holds the
// other end of stdin, so it ends with that process, however that ends.

import { pathToFileURL } from "node:url";

const [folder, fixtures] = process.argv.slice(2);
const { LLMock } = await import(pathToFileURL(`${folder}/dist/index.js`).href);
const mock = new LLMock({ port: 0, host: "127.0.0.1", strict: true, logLevel: "silent" });
mock.loadFixtureFile(fixtures);
await mock.start();
console.log(mock.url);
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
