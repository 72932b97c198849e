import { connect } from "node:net";
import { watchdog } from "@lanai/connection/deadline";

/** Pings the server at the port of its first argument, and prints "alive" after two answers, or "dead". */
const socket = connect(Number(process.argv[2]), "127.0.0.1");
let answers = 0;

const end = (outcome: string): void => {
  process.stdout.write(JSON.stringify({ outcome, ms: performance.now() }));
  process.exit();
};

socket.once("connect", () => {
  const dog = watchdog({
    interval: 500,
    probe: () => void socket.write("ping"),
    onDead: () => end("dead"),
  });
  socket.on("data", () => {
    dog.heard();
    answers += 1;
    if (answers === 2) end("alive");
  });
});
