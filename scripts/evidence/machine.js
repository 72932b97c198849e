import { availableParallelism, cpus, release, totalmem, type } from "node:os";

/** On what and when something is measured, as a list in Markdown. Names no machine. */
export const machine = () =>
  [
    `Date: ${new Date().toISOString()}`,
    `Machine: ${cpus()[0].model}, ${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release().match(/^\d+\.\d+/)?.[0]}`,
    `Node ${process.versions.node}, V8 ${process.versions.v8}`,
  ]
    .map((line) => `- ${line}`)
    .join("\n");
