import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { fileURLToPath } from "node:url";

/** A process of its own with a site. */
export interface SiteProcess extends AsyncDisposable {
  readonly port: number;
  kill(): Promise<void>;
}

export async function startProcess(options: object): Promise<SiteProcess> {
  const program = fileURLToPath(new URL("site-process.ts", import.meta.url));
  const execArgv = ["--conditions=@lanai/source"];
  const child: ChildProcess = fork(program, [JSON.stringify(options)], { execArgv });
  const [url] = await once(child, "message");
  const gone = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await gone;
  };
  return { port: Number(new URL(String(url)).port), kill, [Symbol.asyncDispose]: kill };
}

/** A port in front of processes: what connects is passed on to the one that `to` names. */
export interface Switch extends AsyncDisposable {
  readonly url: string;
  /** Sends what connects from now on to that process; ends the connections that there are. */
  turnTo(process: SiteProcess): void;
}

export async function startSwitch(first: SiteProcess): Promise<Switch> {
  let { port } = first;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    const target = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [socket, target],
      [target, socket],
    ] as const) {
      open.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy()).on("close", () => open.delete(from) && to.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const endAll = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    turnTo(process) {
      ({ port } = process);
      endAll();
    },
    async [Symbol.asyncDispose]() {
      server.close();
      endAll();
    },
  };
}
