/** Says how far a run is: one line that changes on a terminal, else a line for each step. */
export const progress = (total, output = process.stderr) => {
  let done = 0;
  return (what) => {
    done++;
    const line = `[${done}/${total}] ${what}`;
    if (!output.isTTY) output.write(`${line}\n`);
    else output.write(`\r\x1b[K${line}${done === total ? "\n" : ""}`);
  };
};
