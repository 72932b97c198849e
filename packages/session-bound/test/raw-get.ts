import { get, type IncomingMessage } from "node:http";

/** A GET whose path is sent as it is: `fetch` would write it otherwise. */
export const rawGet = (
  { url }: { readonly url: string },
  path: string,
  headers: Record<string, string>,
): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    get(url, { path, headers }, (response) => {
      response.resume().on("end", () => resolve(response));
    }).on("error", reject);
  });
