import assert from "node:assert/strict";
import { LABEL } from "../../devices/device.ts";
import { has, type Law } from "./law.ts";

/** Laws of devices that are named in a list, from another process than their own. */
export const devices: readonly Law[] = [
  {
    name: "U7: a label from elsewhere and a request of the device itself both survive",
    async round({ visitor, user, store, n }) {
      await visitor.ask(`/login?user=${user}`);
      const { publicId } = await visitor.seenBy(visitor.cookie);
      const own = n % 2 ? "/renew" : `/set?key=kept&value=1&how=${visitor.ending()}`;
      const [label] = await Promise.all([
        visitor.askAt(n % 2, `/label?user=${user}&of=${publicId}&label=desk`, ""),
        visitor.ask(own),
      ]);
      assert.deepEqual(label.body, { named: true });
      const [record] = await store.list(`user:${user}`);
      assert.equal(record?.values.get(LABEL), '"desk"');
      has(await visitor.seenBy(visitor.cookie), {
        user,
        publicId,
        ...(n % 2 ? {} : { kept: "1" }),
      });
    },
  },

  {
    name: "U7: a label beside the end of its session revives nothing, whichever comes first",
    orders: ["it was named, then ended", "it had ended"],
    async round({ visitor, user, store, tally, n }) {
      await visitor.ask(`/login?user=${user}`);
      const own = visitor.cookie;
      const { publicId } = await visitor.seenBy(own);
      const [label] = await Promise.all([
        visitor.askAt(n % 2, `/label?user=${user}&of=${publicId}&label=desk`, ""),
        n % 3 ? visitor.ask("/logout", own) : visitor.ask(`/end-all?user=${user}`, ""),
      ]);
      tally(label.body.named ? "it was named, then ended" : "it had ended");
      assert.deepEqual(await store.list(`user:${user}`), []);
      has(await visitor.seenBy(own), { user: null });
      await visitor.expectToReach(0);
    },
  },
];
