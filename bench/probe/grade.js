import { serve } from "./app.js";
import { CHECKS, smoke } from "./checks.js";

/** Grades the set-up that a module's default export makes: a grade for each check, and why. */
export const grade = async (setUp) => {
  const at = await serve(setUp);
  try {
    await smoke(at);
    const grades = {};
    for (const [name, [, check]] of Object.entries(CHECKS)) grades[name] = await check(at);
    return grades;
  } finally {
    await at.close();
  }
};
