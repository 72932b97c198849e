import { parseSync } from "oxc-parser";

const SWAPS = {
  "===": "!==",
  "!==": "===",
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "+": "-",
  "-": "+",
  "*": "/",
  "/": "*",
  "&&": "||",
  "||": "&&",
  "??": "&&",
};

/** What a test can reach is code: types, imports and what is exported from elsewhere are none. */
const isType = ({ type, source }) =>
  type.startsWith("TS") || type.startsWith("Import") || (type.startsWith("Export") && source);

/** The operator's place: between the operands, where no comment stands. */
const operatorIn = (text, node) => {
  const from = node.left.end;
  const between = text.slice(from, node.right.start);
  const at = between
    .replaceAll(/\/\*.*?\*\/|\/\/.*$/gms, (it) => " ".repeat(it.length))
    .indexOf(node.operator);
  return at < 0 ? undefined : from + at;
};

/**
 * What can be wrong with a node: `{ kind, start, end, text }`, which part of the source becomes which text.
 * `whole` is the part that a test reaches when it reaches the mutant.
 */
const ofNode = {
  BinaryExpression: swapped,
  LogicalExpression: swapped,
  IfStatement: (node) => tested("if", node.test),
  ConditionalExpression: (node) => tested("?:", node.test),
  WhileStatement: (node) => [{ kind: "while", ...part(node.test), text: "false" }],
  UnaryExpression: (node, text) =>
    node.operator === "!"
      ? [{ kind: "!", ...part(node), text: text.slice(node.argument.start, node.argument.end) }]
      : [],
  Literal: (node) => {
    if (typeof node.value === "boolean") {
      return [{ kind: "boolean", ...part(node), text: String(!node.value) }];
    }
    if (typeof node.value === "number") {
      return [{ kind: "number", ...part(node), text: `(${node.raw} + 1)` }];
    }
    if (typeof node.value === "string" && node.value !== "") {
      return [{ kind: "text", ...part(node), text: '""' }];
    }
    return [];
  },
  ExpressionStatement: (node) =>
    node.directive ||
    node.expression.type === "AssignmentExpression" ||
    mayBeLeftOut(node.expression)
      ? [{ kind: "statement", ...part(node), text: ";" }]
      : [],
  ReturnStatement: (node) =>
    node.argument && node.argument.type !== "Literal"
      ? [{ kind: "return", ...part(node.argument), text: "undefined" }]
      : [],
};

function part({ start, end }) {
  return { start, end };
}

function swapped(node, text) {
  const to = SWAPS[node.operator];
  const at = to && operatorIn(text, node);
  if (at === undefined) return [];
  const { start, end, left, right } = node;
  const operand = (it) => {
    const own = text.slice(it.start, it.end);
    // `a ?? b && c` is no program, `(a ?? b) && c` is.
    return it.type === "LogicalExpression" ? `(${own})` : own;
  };
  const changed = [
    ...[text.slice(start, left.start), operand(left), text.slice(left.end, at), to],
    ...[text.slice(at + node.operator.length, right.start), operand(right)],
    text.slice(right.end, end),
  ].join("");
  return [{ kind: `${node.operator} to ${to}`, start, end, text: `(${changed})` }];
}

function tested(kind, test) {
  return ["true", "false"].map((text) => ({ kind: `${kind} ${text}`, ...part(test), text }));
}

function mayBeLeftOut(expression) {
  return ["CallExpression", "AwaitExpression", "UnaryExpression", "UpdateExpression"].includes(
    expression.type,
  );
}

/** Whether a child is no expression of its own: a key, a name, a pattern's default. */
const isName = (node, key) =>
  (key === "key" && !node.computed) ||
  (node.type === "TemplateLiteral" && key === "quasis") ||
  (key === "id" && node.type !== "AssignmentExpression");

/** Every mutant of a TypeScript source, in the order of its text. */
export const mutantsOf = (file, text) => {
  const { program, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0].message}`);
  const found = [];
  const visit = (node) => {
    if (isType(node)) {
      // `value as Type` and `value!` hold an expression.
      if (node.expression && !node.type.startsWith("TSTypeQuery")) visit(node.expression);
      return;
    }
    found.push(...(ofNode[node.type]?.(node, text) ?? []));
    for (const [key, child] of Object.entries(node)) {
      if (isName(node, key)) continue;
      for (const it of [child].flat()) if (typeof it?.type === "string") visit(it);
    }
  };
  visit(program);
  const line = (at) => text.slice(0, at).split("\n").length;
  return found
    .map((mutant) => ({ file, line: line(mutant.start), ...mutant }))
    .sort((one, other) => one.start - other.start || one.end - other.end);
};

/** The source with one of its mutants. */
export const mutated = (text, { start, end, text: to }) =>
  text.slice(0, start) + to + text.slice(end);

/**
 * The source with a call of `__reach(n)` at each mutant, so that a test run tells which ones it reaches.
 */
export const watched = (text, mutants) => {
  const insertions = [];
  for (const { n, kind, start, end } of mutants) {
    const isStatement = kind === "statement";
    insertions.push({
      at: start,
      isEnd: false,
      width: end - start,
      text: isStatement ? `{__reach(${n});` : `(__reach(${n}),`,
    });
    insertions.push({ at: end, isEnd: true, width: end - start, text: isStatement ? "}" : ")" });
  }
  // Ends before beginnings; of those that begin at one place the widest first, of ends the narrowest.
  insertions.sort(
    (one, other) =>
      one.at - other.at ||
      Number(other.isEnd) - Number(one.isEnd) ||
      (one.isEnd ? one.width - other.width : other.width - one.width),
  );
  let result = "";
  let from = 0;
  for (const { at, text: inserted } of insertions) {
    result += text.slice(from, at) + inserted;
    from = at;
  }
  return result + text.slice(from);
};
