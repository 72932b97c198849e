import { levels } from "./app.ts";

const port = process.env.PORT ?? "3000";
levels().listen(port, () => console.log(`http://localhost:${port}`));
