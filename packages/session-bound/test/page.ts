/** What runs in the pages of the tests. Each function is sent as its text, and knows nothing of this file. */
declare const location: { readonly origin: string };

export const fetchIsOk = async (): Promise<boolean> => (await fetch("/strict")).ok;

export const socketOpens = (): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = new WebSocket(`${location.origin.replace("https", "wss")}/socket`);
    socket.onmessage = () => resolve(true);
    socket.onclose = () => resolve(false);
  });

export const streamOpens = (): Promise<boolean> =>
  new Promise((resolve) => {
    const source = new EventSource("/events");
    source.onmessage = () => resolve(true);
    source.onerror = () => resolve(false);
  });

/** A page that only holds a socket, and extends it when its cookie is too old. */
export const holdTab = (): Promise<unknown> =>
  new Promise((resolve) => {
    const socket = new WebSocket(`${location.origin.replace("https", "wss")}/tab`);
    socket.onmessage = (message) => {
      const { event, data } = JSON.parse(String(message.data));
      if (event === "bound.extended") resolve("extended");
      if (event !== "bound") return;
      const headers = { "Lanai-Listener": data.proof };
      setTimeout(() => void fetch(data.path, { method: "POST", headers }), data.in);
    };
    socket.onclose = ({ code }) => resolve(code);
  });
