import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../services/server-process.ts";

/** What the script says where nothing else is on the PATH, and nothing can be installed. */
const run = (call: string, path = "", setUp = "") =>
  spawnSync(
    process.execPath,
    [
      "-e",
      `${setUp} import("./scripts/servers.js").then((it) => console.log(it.${call})).catch(({ message }) => console.log(message))`,
    ],
    { cwd: new URL("../..", import.meta.url), env: { PATH: path }, encoding: "utf8" },
  ).stdout;

test("what is missing is named, with the commands that install it", () => {
  const said = run("installServers()");
  expect(said).toMatch(/^Tests need .*redis-server, .*python3 with jwt.* on the PATH/);
  expect(said).toMatch(/^ {2}apt-get install .*redis-server .*python3-jwt python3-cryptography/m);
  expect(said).toMatch(/^ {2}brew install .*redis/m);
  expect(said).toMatch(/^ {2}pip install pyjwt cryptography websockets /m);
});

test("what is missing is installed one by one, so that one unknown name holds up no other", () => {
  const folder = temporaryFolder("apt");
  onTestFinished(() => folder.remove());
  const calls = join(folder.path, "calls");
  const apt = `#!/bin/sh\necho "$*" >> ${calls}\nexit 100\n`;
  writeFileSync(join(folder.path, "apt-get"), apt, { mode: 0o755 });
  const said = run("installServers()", folder.path, "process.getuid = () => 0;");
  expect(readFileSync(calls, "utf8").match(/ install .*/g)).toEqual(
    expect.arrayContaining([
      " install -y --no-install-recommends redis-server",
      " install -y --no-install-recommends python3-jwt",
    ]),
  );
  expect(said).toMatch(/^Tests need .*redis-server/m);
});

test("of one program only its own is named", () => {
  expect(run('programPath("python3 with jwt")')).toBe(
    "Tests need python3 with jwt, on the PATH. Install with\n" +
      "  apt-get install python3-jwt python3-cryptography    (Debian, Ubuntu, as root)\n" +
      "  pip install pyjwt cryptography    (macOS, into the Python on the PATH)\n" +
      "or run only what needs no server: npm run test:unit\n",
  );
});

test("a program that is not in the list is a mistake of ours", () => {
  expect(run('programPath("nothing")')).toBe(
    "nothing is not among the programs of scripts/servers.js\n",
  );
});

test("of several Pythons the one that has the modules is found", () => {
  const [without, having] = [0, 1].map((has) => {
    const folder = temporaryFolder("python");
    onTestFinished(() => folder.remove());
    const script = `#!/bin/sh\ntest ${has} = 1 -a "$2" = "import jwt, cryptography"\n`;
    writeFileSync(join(folder.path, "python3"), script, { mode: 0o755 });
    return folder.path;
  });
  const find = (path: string) => run('programPath("python3 with jwt")', path);
  expect(find(`${without}:${having}`)).toBe(`${having}/python3\n`);
  expect(find(`${without}`)).toMatch(/^Tests need python3 with jwt/);
});

test("a Valkey does where there is no Redis", () => {
  const folders = ["valkey-server", "redis-server"].map((name) => {
    const folder = temporaryFolder("redis");
    onTestFinished(() => folder.remove());
    writeFileSync(join(folder.path, name), "#!/bin/sh\n", { mode: 0o755 });
    return folder.path;
  });
  const [valkey, redis] = folders;
  const find = (path: string) => run('programPath("redis-server")', path);
  expect(find(`${valkey}:${redis}`)).toBe(`${redis}/redis-server\n`);
  expect(find(`${valkey}`)).toBe(`${valkey}/valkey-server\n`);
});
