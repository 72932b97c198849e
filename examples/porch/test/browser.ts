/** One browser: a cookie jar and `fetch`. Redirects are answers like any other. */
export class Browser {
  readonly cookies: Map<string, string> = new Map();
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    const pairs = [...this.cookies].map((pair) => pair.join("="));
    if (pairs.length > 0) headers.set("cookie", pairs.join("; "));
    const response = await fetch(this.#url + path, { redirect: "manual", ...init, headers });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    return response;
  }

  get(path: string): Promise<Response> {
    return this.request(path);
  }

  async page(path: string): Promise<string> {
    return (await this.get(path)).text();
  }

  /** Posts a form as a page of the same site does. */
  post(path: string, fields: Record<string, string> = {}): Promise<Response> {
    return this.request(path, {
      method: "POST",
      headers: { Origin: this.#url },
      body: new URLSearchParams(fields),
    });
  }

  signIn(name: string, more: Record<string, string> = {}): Promise<Response> {
    return this.post("/sign-in", { name, password: "aloha", ...more });
  }

  /** Another one with the cookies that this one has now; at another address, if one is given. */
  clone(url: string = this.#url): Browser {
    const twin = new Browser(url);
    for (const [name, value] of this.cookies) twin.cookies.set(name, value);
    return twin;
  }

  #keep(line: string): void {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/; *max-age=0/i.test(line)) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}
