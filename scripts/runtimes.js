// Runs the conformance suites and a smoke of every package, with the built packages, on each runtime
// that the README names: `node scripts/runtimes.js`, or with the names of some, after `npm run build`.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { machine } from "./evidence/machine.js";
import { record } from "./evidence/record.js";
import { root } from "./node.js";
import { RUNTIMES, reportOf } from "./runtimes/list.js";
import { startNats } from "./services/nats.ts";
import { startPostgres } from "./services/postgres.ts";
import { startRedis } from "./services/redis.ts";

const run = (runtime, servers) => {
  const { name, package: from, command } = runtime;
  const report = join(root, reportOf(runtime));
  const args = ["exec", "--yes", `--package=${from}`, "--", ...command, name, report];
  // What npm was told to run this is not for the npm that runs the other.
  const { npm_config_call, npm_config_package, ...env } = process.env;
  const child = spawn("npm", [...args, JSON.stringify(servers)], {
    cwd: root,
    env,
    stdio: "inherit",
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
};

const summaryOf = (runtime) => {
  if (!existsSync(join(root, reportOf(runtime)))) return `- ${runtime.package}: didn't run`;
  const report = JSON.parse(readFileSync(join(root, reportOf(runtime)), "utf8"));
  const results = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  const passed = results.filter(({ status }) => status === "passed").length;
  return `- ${runtime.package}: ${passed} of ${results.length} cases hold`;
};

const chosen = (names) => {
  const unknown = names.filter((name) => !RUNTIMES.some((runtime) => runtime.name === name));
  if (unknown.length > 0) {
    const known = RUNTIMES.map(({ name }) => name).join(", ");
    throw new TypeError(`There is no runtime ${unknown.join(", ")}: there are ${known}`);
  }
  return names.length > 0 ? RUNTIMES.filter(({ name }) => names.includes(name)) : RUNTIMES;
};

const runAll = async (names) => {
  const runtimes = chosen(names);
  await using redis = await startRedis();
  await using nats = await startNats();
  await using postgres = await startPostgres({ settings: { fsync: "off" } });
  const servers = {
    redis: redis.port,
    nats: nats.port,
    natsMonitor: nats.monitorUrl,
    postgres: postgres.connection,
  };
  const lines = [];
  let failed = 0;
  for (const runtime of runtimes) {
    rmSync(join(root, reportOf(runtime)), { force: true });
    if ((await run(runtime, servers)) !== 0) failed++;
    lines.push(summaryOf(runtime));
  }
  if (runtimes === RUNTIMES) record("runtimes", { about: machine(), text: lines.join("\n") });
  return failed === 0 ? 0 : 1;
};

runAll(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error) => {
    console.error(error instanceof TypeError ? error.message : error);
    process.exit(1);
  },
);
