import { createClients } from "@lanai/clients";
import { createSessions } from "@lanai/session";

interface Events {
  said: { text: string };
  typing: undefined;
}

export const clients = createClients<Events>({ sessions: createSessions() });

export const greet = (user: string) => clients.send({ user }, "said", { text: "aloha" });
