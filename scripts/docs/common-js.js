/** Returns the program with `require` in place of each import. */
export const asCommonJs = (code) =>
  code
    .replace(/^import (\{.*?\}) from (".*?");$/gms, "const $1 = require($2);")
    .replace(/^import (\w+) from (".*?");$/gm, "const $1 = require($2);");
