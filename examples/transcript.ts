import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";

export interface Step {
  readonly command: string;
  readonly output: string;
}

/** The commands in the `console` blocks of a README, each with what it says that they print. */
export function transcript(readme: URL): Step[] {
  const blocks = readFileSync(readme, "utf8").matchAll(/^```console\n(.*?)^```$/gms);
  return [...blocks].flatMap(([, block = ""]) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((step) => {
        const end = step.indexOf("\n");
        return { command: step.slice(0, end), output: step.slice(end + 1).trimEnd() };
      }),
  );
}

interface Options {
  head: boolean;
  method: string | undefined;
  data: string | undefined;
  load: string | undefined;
  save: string | undefined;
  headers: Record<string, string>;
  url: string;
}

/**
 * Runs what our READMEs show: `curl` with a few of its options, `cp` of a cookie jar, `| grep word`.
 * A stand-in, because a machine that runs the tests need not have curl.
 */
export class Shell {
  readonly #from: string;
  readonly #to: string;
  readonly #jars: Map<string, Map<string, string>> = new Map();

  /** Where a README says `from`, also in a header, the commands use `to`. */
  constructor(from: string, to: string) {
    this.#from = from;
    this.#to = to;
  }

  async run(line: string): Promise<string> {
    const [command = "", filter] = line.replaceAll(this.#from, this.#to).split(" | ");
    const [program, ...words] = wordsOf(command);
    if (program === "cp") {
      const [from = "", to = ""] = words;
      this.#jars.set(to, new Map(this.#jar(from)));
      return "";
    }
    if (program !== "curl") throw new Error(`unknown command: ${program}`);
    const output = await this.#curl(optionsOf(words));
    if (filter === undefined) return output.trimEnd();
    const [grep, pattern = ""] = wordsOf(filter);
    if (grep !== "grep") throw new Error(`unknown filter: ${grep}`);
    const lines = output.split("\n").filter((it) => it.includes(pattern));
    return lines.join("\n").trimEnd();
  }

  async #curl({ head, method, data, load, save, headers, url }: Options): Promise<string> {
    const pairs = load === undefined ? [] : [...this.#jar(load)];
    const sent = request(url, {
      method: method ?? (data === undefined ? "GET" : "POST"),
      headers: {
        Accept: "*/*",
        ...(pairs.length > 0 && { Cookie: pairs.map((pair) => pair.join("=")).join("; ") }),
        ...(data !== undefined && { "Content-Type": "application/x-www-form-urlencoded" }),
        ...headers,
      },
    });
    sent.end(data);
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    if (save !== undefined) this.#keep(this.#jar(save), response.headers["set-cookie"] ?? []);
    const body = await text(response);
    return head ? `${headOf(response)}\n\n${body}` : body;
  }

  #jar(name: string): Map<string, string> {
    const jar = this.#jars.get(name) ?? new Map<string, string>();
    this.#jars.set(name, jar);
    return jar;
  }

  #keep(jar: Map<string, string>, lines: readonly string[]): void {
    for (const line of lines) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/; *max-age=0/i.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
  }
}

const wordsOf = (command: string): string[] =>
  [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");

function optionsOf(words: readonly string[]): Options {
  const options: Options = {
    head: false,
    method: undefined,
    data: undefined,
    load: undefined,
    save: undefined,
    headers: {},
    url: "",
  };
  const rest = words.values();
  const next = (): string => rest.next().value ?? "";
  for (const word of rest) {
    if (word === "-i") options.head = true;
    else if (word === "-X") options.method = next();
    else if (word === "-d") options.data = next();
    else if (word === "-b") options.load = next();
    else if (word === "-c") options.save = next();
    else if (word === "-H") {
      const [, name = "", value = ""] = /^([^:]*): *(.*)$/.exec(next()) ?? [];
      options.headers[name] = value;
    } else if (word.startsWith("http://")) options.url = word;
    else if (word !== "-s") throw new Error(`unknown option of curl: ${word}`);
  }
  return options;
}

function headOf({ httpVersion, statusCode, statusMessage, rawHeaders }: IncomingMessage): string {
  const lines = [`HTTP/${httpVersion} ${statusCode} ${statusMessage}`];
  for (let i = 0; i < rawHeaders.length; i += 2)
    lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  return lines.join("\n");
}
