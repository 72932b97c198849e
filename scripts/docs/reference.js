// Reads the public names of the packages, with their doc comments, from the sources.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseSync } from "oxc-parser";
import { root } from "../node.js";

const modules = new Map();

/** Parses a source once. */
const parsed = (path) => {
  if (!modules.has(path)) {
    const source = readFileSync(path, "utf8");
    const { program, comments, errors } = parseSync(path, source);
    if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`);
    modules.set(path, { path, source, program, comments });
  }
  return modules.get(path);
};

const manifestOf = (name) =>
  JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"));

/** The source of each entry of a package: `["@lanai/session/store", path]`. */
const entriesOf = (name) =>
  Object.entries(manifestOf(name).exports)
    .filter(([, target]) => typeof target === "object")
    .map(([entry, target]) => [
      `@lanai/${name}${entry.slice(1)}`,
      join(root, "packages", name, target["@lanai/source"]),
    ]);

const sourceOf = (specifier, from) => {
  if (specifier.startsWith(".")) return resolve(dirname(from), specifier);
  const [, name] = specifier.match(/^@lanai\/([^/]+)/) ?? [];
  if (name === undefined) return undefined;
  return entriesOf(name).find(([entry]) => entry === specifier)?.[1];
};

/** The text of the doc comment that stands right before a place, without its stars. */
const docBefore = ({ source, comments }, start) => {
  const comment = comments.findLast(({ type, end }) => end <= start && type === "Block");
  if (comment?.value.startsWith("*") !== true) return "";
  // A member of a union has its bar in between, and some declarations a remark for the linter.
  if (!/^(\s|\/\/.*|\|)*$/.test(source.slice(comment.end, start))) return "";
  return comment.value.replaceAll(/^\s*\*+ ?/gm, "").trim();
};

const nameOf = (declaration) =>
  declaration.id?.name ?? declaration.declarations?.map(({ id }) => id.name)[0];

/** The places of a module where a name is declared: more than one for overloads. */
const declarationsOf = (module, name) =>
  module.program.body.flatMap((statement) => {
    const declaration = statement.declaration ?? statement;
    return nameOf(declaration) === name ? [{ statement, declaration }] : [];
  });

/** Where the name that a module exports is declared, over any number of re-exports. */
const find = (path, name) => {
  const module = parsed(path);
  const own = declarationsOf(module, name);
  if (own.length > 0) return { module, name, places: own };
  for (const statement of module.program.body) {
    if (statement.type === "ImportDeclaration") {
      const specifier = statement.specifiers.find(({ local }) => local.name === name);
      const target = specifier && sourceOf(statement.source.value, path);
      if (target) return find(target, specifier.imported?.name ?? name);
    }
    if (statement.type === "ExportNamedDeclaration" && statement.source) {
      const specifier = statement.specifiers.find(({ exported }) => exported.name === name);
      const target = specifier && sourceOf(statement.source.value, path);
      if (target) return find(target, specifier.local.name);
    }
    if (statement.type === "ExportAllDeclaration") {
      const target = sourceOf(statement.source.value, path);
      const found = target && find(target, name);
      if (found) return found;
    }
  }
  return undefined;
};

/** The names that a module exports, in the order of its lines. */
const exportedNames = (path) =>
  parsed(path).program.body.flatMap((statement) => {
    if (statement.type === "ExportAllDeclaration") {
      return exportedNames(sourceOf(statement.source.value, path));
    }
    if (statement.type !== "ExportNamedDeclaration") return [];
    if (statement.declaration) return [nameOf(statement.declaration)];
    return statement.specifiers.map(({ exported }) => exported.name);
  });

const bodyOf = (declaration) =>
  declaration.type === "TSInterfaceDeclaration" || declaration.type === "ClassDeclaration"
    ? declaration.body
    : undefined;

/** The text of a declaration without comments and without what a function or class does. */
const signatureOf = ({ source, comments }, node) => {
  const cuts = comments.filter(({ start, end }) => start >= node.start && end <= node.end);
  const visit = (value) => {
    if (value === null || typeof value !== "object") return;
    if (value.type === "BlockStatement" || value.type === "StaticBlock") cuts.push(value);
    else if (value.type === "VariableDeclarator" && value.init && value.id.typeAnnotation) {
      cuts.push({ start: value.id.end, end: value.init.end });
    } else for (const child of Object.values(value)) visit(child);
  };
  visit(node);
  let text = "";
  let at = node.start;
  for (const { start, end } of cuts.toSorted((a, b) => a.start - b.start)) {
    if (start < at) continue;
    text += source.slice(at, start);
    at = end;
  }
  return (text + source.slice(at, node.end))
    .replaceAll(/\n\s*\n+/g, "\n")
    .replace(/^export /, "")
    .trim();
};

// What a class only repeats from its base is described there.
const isHidden = (member) =>
  member.override ||
  member.key?.type === "PrivateIdentifier" ||
  member.accessibility === "private" ||
  member.type === "StaticBlock";

const membersOf = (module, body) =>
  body.body
    .filter((member) => !isHidden(member))
    .map((member) => ({
      name: member.key ? module.source.slice(member.key.start, member.key.end) : "",
      signature: signatureOf(module, member).replaceAll(/\s+/g, " ").replace(/[;,]$/, ""),
      doc: docBefore(module, member.start),
    }));

/** The value of a constant of a module. */
const constantOf = (module, name) => {
  const [place] = declarationsOf(module, name);
  const { init } = place?.declaration.declarations?.[0] ?? {};
  return init?.expression ?? init;
};

/** The values that a type allows: of a union, or of the list or the object that it is made from. */
const valuesOf = (module, { typeAnnotation: type }) => {
  if (!type) return [];
  const text = module.source.slice(type.start, type.end);
  const [, list, object] = text.match(/^\(typeof (\w+)\)\[number\]$|^keyof typeof (\w+)/) ?? [];
  const values = list
    ? constantOf(module, list)?.elements
    : object
      ? constantOf(module, object)?.properties.map(({ key }) => key)
      : (type.types ?? [type]);
  const described = (values ?? []).map(({ start, end }) => ({
    name: "",
    signature: module.source.slice(start, end).replaceAll(/\s+/g, " "),
    doc: docBefore(module, start),
  }));
  return described.some(({ doc }) => doc !== "") ? described : [];
};

/** The names of the types that a type refers to: of an intersection, of each. */
const namesIn = ({ type, types = [], typeName }) =>
  type === "TSIntersectionType" ? types.flatMap(namesIn) : [typeName?.name ?? ""];

/** The members of the interfaces that a declaration extends or implements, or whose form it takes. */
const inheritedBy = (module, { extends: bases = [], implements: contracts = [] }) =>
  [...bases, ...contracts]
    .flatMap(({ expression, typeArguments }) => [
      expression?.type === "Identifier" ? expression.name : "",
      ...(typeArguments?.params ?? []).flatMap(namesIn),
    ])
    .flatMap((name) => {
      const found = name === "" ? undefined : find(module.path, name);
      if (!found) return [];
      return found.places.flatMap(({ declaration }) => {
        const body = bodyOf(declaration);
        if (!body) return [];
        return [...membersOf(found.module, body), ...inheritedBy(found.module, declaration)];
      });
    });

/** The members of a declaration. One that only repeats its contract's is described as there. */
const describedMembers = (module, declaration) => {
  const body = bodyOf(declaration);
  if (!body) return valuesOf(module, declaration);
  const inherited = inheritedBy(module, declaration);
  return membersOf(module, body).map((member) => {
    const contract = inherited.find(({ name, doc }) => name === member.name && doc !== "");
    return member.doc === "" && contract ? { ...member, doc: contract.doc } : member;
  });
};

const described = (path, exported) => {
  const found = find(path, exported);
  if (found === undefined) return { name: exported, signature: "", doc: "", members: [] };
  const { module, places } = found;
  const docs = places.map(({ statement }) => docBefore(module, statement.start));
  const signature = places
    .map(({ declaration }) => {
      const body = bodyOf(declaration);
      if (!body) return signatureOf(module, declaration);
      return `${module.source.slice(declaration.start, body.start).trim()} { … }`;
    })
    .join("\n");
  return {
    name: exported,
    signature,
    doc: docs.find((doc) => doc !== "") ?? "",
    members: places.flatMap(({ declaration }) => describedMembers(module, declaration)),
  };
};

/** What a package adds to Koa's context, such as `ctx.session`. */
const contextOf = (name) =>
  readdirSync(join(root, "packages", name, "src"), { recursive: true })
    .filter((file) => file.endsWith(".ts"))
    .sort()
    .flatMap((file) => {
      const path = join(root, "packages", name, "src", file);
      if (!readFileSync(path, "utf8").includes('declare module "koa"')) return [];
      const module = parsed(path);
      return module.program.body
        .filter(({ type, id }) => type === "TSModuleDeclaration" && id.value === "koa")
        .flatMap(({ body }) => body.body)
        .map((statement) => statement.declaration ?? statement)
        .filter(({ type }) => type === "TSInterfaceDeclaration")
        .flatMap(({ body }) => membersOf(module, body));
    });

/** Everything that a package's users can import or find on a context. */
export const referenceOf = (name) => ({
  name,
  description: manifestOf(name).description ?? "",
  context: contextOf(name),
  entries: entriesOf(name).map(([entry, path]) => ({
    entry,
    names: [...new Set(exportedNames(path))].map((exported) => described(path, exported)),
  })),
});
