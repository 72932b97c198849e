// Finds the programs that tests start, and installs what is missing where it can.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * What tests need: a program, maybe under other names, or Python with certain modules; and what has
 * it: packages of Debian, of Homebrew, of Python's index. A server's own module (scripts/services)
 * asks for a program's path by {@link programPath}.
 */
const programs = [
  { name: "redis-server", otherNames: ["valkey-server"], debian: "redis-server", brew: "redis" },
  { name: "postgres", debian: "postgresql", brew: "postgresql" },
  { name: "initdb", debian: "postgresql", brew: "postgresql" },
  { name: "pg_basebackup", debian: "postgresql", brew: "postgresql" },
  { name: "pgbouncer", debian: "pgbouncer", brew: "pgbouncer" },
  { name: "nats-server", debian: "nats-server", brew: "nats-server" },
  {
    name: "chromium",
    otherNames: ["chromium-browser", "google-chrome", "Google Chrome"],
    debian: "chromium",
    brew: "google-chrome",
  },
  {
    name: "python3 with jwt",
    otherNames: ["python3", "python3.13"],
    modules: ["jwt", "cryptography"],
    debian: "python3-jwt python3-cryptography",
    pip: "pyjwt cryptography",
  },
  {
    name: "python3 with websockets",
    otherNames: ["python3", "python3.13"],
    modules: ["websockets"],
    debian: "python3-websockets",
    pip: "websockets",
  },
  { name: "curl", debian: "curl", brew: "curl" },
  { name: "openssl", debian: "openssl", brew: "openssl" },
  { name: "nginx", debian: "nginx", brew: "nginx" },
  { name: "spin", debian: "spin", brew: "spin" },
  // What spin makes of a model is a program in C.
  { name: "cc", otherNames: ["gcc", "clang"], debian: "gcc libc6-dev", brew: "gcc" },
];

const isExecutable = (path) => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

const canImport = (python, modules) =>
  spawnSync(python, ["-c", `import ${modules.join(", ")}`], { stdio: "ignore" }).status === 0;

/** The PATH, and what is off the PATH: Debian's PostgreSQL, the newest first, and macOS's Chrome. */
const folders = () => {
  const postgres = "/usr/lib/postgresql";
  const versions = existsSync(postgres) ? readdirSync(postgres).map(Number) : [];
  return [
    ...(process.env.PATH ?? "").split(delimiter).filter(Boolean),
    ...["/usr/sbin", "/usr/local/sbin"],
    ...versions.sort((a, b) => b - a).map((version) => join(postgres, `${version}`, "bin")),
    "/Applications/Google Chrome.app/Contents/MacOS",
  ];
};

const find = ({ name, otherNames = [], modules }) =>
  [name, ...otherNames]
    .flatMap((each) => folders().map((folder) => join(folder, each)))
    .find((path) => isExecutable(path) && (!modules || canImport(path, modules)));

const packagesOf = (needed, manager) => [
  ...new Set(needed.flatMap((program) => program[manager]?.split(" ") ?? [])),
];

const howToInstall = (missing) => {
  const line = (command, manager, where) => {
    const packages = packagesOf(missing, manager);
    return packages.length > 0 ? `  ${command} ${packages.join(" ")}    (${where})\n` : "";
  };
  return (
    `Tests need ${missing.map(({ name }) => name).join(", ")}, on the PATH. Install with\n` +
    line("apt-get install", "debian", "Debian, Ubuntu, as root") +
    line("brew install", "brew", "macOS") +
    line("pip install", "pip", "macOS, into the Python on the PATH") +
    "or run only what needs no server: npm run test:unit"
  );
};

const apt = (...args) => {
  const { status } = spawnSync("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=300", ...args], {
    stdio: ["ignore", "inherit", "inherit"],
    // At run level 1 a package doesn't start the service it brings: tests start their own.
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
  });
  return status === 0;
};

/** Where a program is. @throws with the command that installs it. */
export const programPath = (name) => {
  const program = programs.find((it) => it.name === name);
  if (!program) throw new TypeError(`${name} is not among the programs of scripts/servers.js`);
  const path = find(program);
  if (path) return path;
  throw new Error(howToInstall([program]));
};

/** Installs what is missing, where there is apt-get and the right to use it; else says how to. */
export const installServers = () => {
  const missing = () => programs.filter((program) => !find(program));
  if (missing().length === 0) return;
  if (process.getuid?.() === 0 && find({ name: "apt-get" })) {
    const packages = packagesOf(missing(), "debian");
    console.log(`Installing ${packages.join(" ")} (apt-get) …`);
    apt("update");
    // One by one: a name that this system's release doesn't know holds up no other.
    for (const name of packages) apt("install", "-y", "--no-install-recommends", name);
  }
  if (missing().length > 0) throw new Error(howToInstall(missing()));
};
