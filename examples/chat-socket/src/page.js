import { connect } from "/lanai/index.js";

const [signIn, say, state, people, log] = ["sign-in", "say", "state", "people", "room"].map((id) =>
  document.getElementById(id),
);

signIn.onsubmit = async (event) => {
  event.preventDefault();
  await fetch(`/sign-in/${encodeURIComponent(signIn.name.value)}`, { method: "POST" });
  signIn.hidden = true;
  say.hidden = false;

  /** @type {import("@lanai/browser").Line<import("./main.ts").Live>} */
  const line = connect("/live");
  const room = line.join("room.:id", { id: "general" }, { replay: 50 });
  room.on("said", ({ by, text }) => log.append(`${by}: ${text}\n`));
  room.on("gap", () => log.append("(Some messages are missing here.)\n"));
  room.on("members", (members) => {
    people.textContent = `Here: ${members.map(({ data }) => data.name).join(", ")}`;
  });
  line.on("state", (name) => {
    if (name === "open") state.textContent = "";
    else state.textContent = line.error?.message ?? "The connection is lost; trying again.";
  });

  say.onsubmit = async (event) => {
    event.preventDefault();
    const text = say.text.value;
    say.reset();
    try {
      // Without a connection it waits, and is handled once.
      await room.call("say", { text });
    } catch (error) {
      log.append(`(Not sent: ${text}. ${error.message})\n`);
    }
  };
};
