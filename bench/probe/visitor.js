import http from "node:http";

const send = (port, path, cookie) =>
  new Promise((resolve, reject) => {
    const headers = cookie ? { cookie } : {};
    const request = http.get({ host: "127.0.0.1", port, path, headers }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text) => {
        body += text;
      });
      response.on("end", () => {
        const { statusCode: status, headers: got } = response;
        resolve({ status, body, lines: got["set-cookie"] ?? [] });
      });
    });
    request.on("error", reject);
    request.setTimeout(10_000, () =>
      request.destroy(new Error("a request was not answered in 10 s")),
    );
  });

const isPast = (attribute) => {
  const [name, value] = attribute.toLowerCase().split(/=(.*)/);
  return name === "max-age"
    ? Number(value) <= 0
    : name === "expires" && Date.parse(value) <= Date.now();
};

/** A browser: its cookies, which each response changes when it arrives. */
export class Visitor {
  #port;
  cookies;

  constructor(port, cookies = new Map()) {
    this.#port = port;
    this.cookies = cookies;
  }

  /** A browser with the cookies that this one has now. */
  copy() {
    return new Visitor(this.#port, new Map(this.cookies));
  }

  /** Sends a request that plays `steps`, and resolves to what each of them gave. */
  async play(...steps) {
    const cookie = [...this.cookies].map((pair) => pair.join("=")).join("; ");
    const path = `/?steps=${encodeURIComponent(JSON.stringify(steps))}`;
    const { status, body, lines } = await send(this.#port, path, cookie);
    const given = new Map();
    for (const line of lines) {
      const [pair, ...attributes] = line.split(";").map((part) => part.trim());
      const [name, value] = pair.split(/=(.*)/);
      if (attributes.some(isPast)) this.cookies.delete(name);
      else {
        this.cookies.set(name, value);
        given.set(name, value);
      }
    }
    const results = status === 200 ? JSON.parse(body) : [];
    return { status, results, given: new Visitor(this.#port, given) };
  }

  /** What the last step gives. */
  async ask(...steps) {
    return (await this.play(...steps)).results.at(-1) ?? null;
  }
}
