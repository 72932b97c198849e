import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { graphqlSite } from "./app.ts";

const secret = process.env.SECRET ?? randomBytes(32).toString("base64url");
const { app, attach } = graphqlSite({ secret });

const server = app.listen(process.env.PORT ?? "3000", () => {
  const { port } = server.address() as AddressInfo;
  console.log(`GraphQL is at http://localhost:${port}/graphql`);
});
attach(server);
