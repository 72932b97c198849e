import http from "node:http";
import { HOST } from "./config.js";

const agent = new http.Agent({ keepAlive: true, maxSockets: 128 });

/** Connections that are kept open would keep the runner alive. */
export const closeConnections = () => agent.destroy();

/** One request with exactly this cookie header. */
export const get = (port, path, cookie) =>
  new Promise((resolve, reject) => {
    const headers = cookie ? { cookie } : {};
    const request = http.get({ host: HOST, port, path, agent, headers }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text) => {
        body += text;
      });
      response.on("end", () => {
        const { statusCode: status, headers: got } = response;
        resolve({ status, body, setCookie: got["set-cookie"] ?? [] });
      });
    });
    request.on("error", reject);
    request.setTimeout(15_000, () => request.destroy(new Error(`${path}: no answer`)));
  });

const dumped = ({ status, body }) => (status === 200 ? JSON.parse(body) : {});

/** The session that a cookie header leads to, as the app sees it. */
export const dumpOf = async (port, cookie) => dumped(await get(port, "/dump", cookie));

/** A client that keeps cookies. */
export class Browser {
  cookies = new Map();

  constructor(port) {
    this.port = port;
  }

  get cookie() {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  apply({ setCookie }) {
    for (const line of setCookie) {
      const [pair, ...attributes] = line.split(";").map((part) => part.trim());
      const [name, value] = pair.split(/=(.*)/);
      if (attributes.some(isPast)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
  }

  async get(path) {
    const response = await get(this.port, path, this.cookie);
    this.apply(response);
    return response;
  }

  async dump() {
    return dumped(await this.get("/dump"));
  }
}

const isPast = (attribute) => {
  const [name, value] = attribute.toLowerCase().split(/=(.*)/);
  return name === "max-age"
    ? Number(value) <= 0
    : name === "expires" && Date.parse(value) <= Date.now();
};
