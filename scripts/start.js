// Runs the showcase on embedded defaults, installing first if needed: `npm start`.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { install } from "./install.js";
import { root, runNode } from "./node.js";
import { portOf } from "./port.js";

const app = "examples/porch/src/main.ts";

const start = async () => {
  // Before a minute of installing, not after it.
  portOf(process.env.PORT);
  if (!existsSync(join(root, app)))
    throw new Error(`${app} is missing: the checkout is incomplete.`);
  await install();
  // The packages run from their TypeScript sources: nothing has to be built first.
  const flags = ["--conditions=@lanai/source", "--disable-warning=ExperimentalWarning"];
  return runNode([...flags, app, ...process.argv.slice(2)]);
};

start().then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    console.error(error.message);
    process.exitCode = 1;
  },
);
