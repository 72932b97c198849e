// What malware does that has copied a browser's cookies: node src/thief.ts "name=value; …"
import { once } from "node:events";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { WebSocket } from "ws";

const [cookie = ""] = process.argv.slice(2);
const host = `localhost:${process.env.PORT ?? 3000}`;
// The certificate of the example is nobody's.
const options = { headers: { cookie }, rejectUnauthorized: false };

async function send(method: string, path: string): Promise<void> {
  const sent = request(`https://${host}${path}`, { ...options, method }).end();
  const [response] = await once(sent, "response");
  console.log(`${method} ${path}: ${response.statusCode} ${(await text(response)).trim()}`);
}

await send("GET", "/account");
await send("GET", "/transfer");

const socket = new WebSocket(`wss://${host}/live`, options);
await once(socket, "open");
console.log("WebSocket /live: open");
const [code] = await once(socket, "close");
console.log(`WebSocket /live: closed with ${code}`);

await send("GET", "/account");
await send("GET", "/transfer");
await send("POST", "/device-bound/register");
