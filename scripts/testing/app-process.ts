import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/** A process of the app, on a port that it keeps. */
export class AppProcess<Options extends { readonly port: number }> {
  readonly #program: URL;
  readonly #options: Options;
  readonly #onMessage: ((message: string) => void) | undefined;
  #child: ChildProcess | undefined;

  /**
   * @param program - Gets the options as JSON, and sends the message `ready`.
   * @param onMessage - Called with every later message, and with an exit that nobody has asked for.
   */
  constructor(program: URL, options: Options, onMessage?: (message: string) => void) {
    this.#onMessage = onMessage;
    this.#program = program;
    this.#options = options;
  }

  get port(): number {
    return this.#options.port;
  }

  async start(): Promise<void> {
    const child = fork(this.#program, [JSON.stringify(this.#options)], {
      execArgv: ["--conditions=@lanai/source", "--disable-warning=ExperimentalWarning"],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#child = child;
    await Promise.race([once(child, "message"), once(child, "exit")]);
    if (!this.#onMessage) return;
    child.on("message", (message) => this.#onMessage?.(String(message)));
    child.once("exit", (code) => code && this.#onMessage?.(`an exit with ${code}`));
  }

  get isUp(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  /** `SIGKILL`: as a crash; `SIGTERM`: it closes its listeners first. */
  async stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (!child || !this.isUp) return;
    child.kill(signal);
    await once(child, "exit");
  }

  async pause(ms: number): Promise<void> {
    this.#child?.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.#child?.kill("SIGCONT");
  }
}
