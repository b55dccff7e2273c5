// Expressions that filter samples: M < 0.2 and pattern = "Color", words alone for a search in all texts.
import type { FigureSpec, Line, RowSpec } from "./types";

type Value = string | number | boolean | null | undefined;
type Test = (line: Line) => boolean;
export interface Context { figures: FigureSpec[]; rows: RowSpec[]; row: number; probing: string; categories: string[] }

/** What went wrong, with its place, in one line. */
export class FilterError extends Error {}

interface Word { kind: "name" | "field" | "text" | "number" | "sign" | "end"; text: string; at: number }

const SIGNS = ["<=", ">=", "!=", "<", ">", "=", "~", "(", ")"];
const QUOTED = /^(?:"(?:[^"\\]|\\.)*"|'[^']*'|`[^`]*`)/su;
const COMPARISONS = new Set(["<", "<=", ">", ">=", "=", "!=", "~"]);

function words(text: string): Word[] {
  const found: Word[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at), space = /^\s+/.exec(rest);
    if (space) { at += space[0].length; continue; }
    const quote = rest[0]!;
    if (quote === '"' || quote === "'" || quote === "`") {
      const quoted = QUOTED.exec(rest)?.[0];
      if (!quoted) throw new FilterError(`column ${at + 1}: the ${quote} is never closed`);
      found.push({ kind: quote === "`" ? "field" : "text", text: between(quoted), at });
      at += quoted.length;
      continue;
    }
    const number = /^-?(\d+\.?\d*|\.\d+)%?(?![\p{L}\p{N}_†-])/u.exec(rest);
    if (number) { found.push({ kind: "number", text: number[0], at }); at += number[0].length; continue; }
    const sign = SIGNS.find((one) => rest.startsWith(one));
    if (sign) { found.push({ kind: "sign", text: sign, at }); at += sign.length; continue; }
    const name = /^[^\s<>=!~()"'`]+/u.exec(rest);
    if (!name) throw new FilterError(`column ${at + 1}: ${quote} means nothing here`);
    found.push({ kind: "name", text: name[0], at });
    at += name[0].length;
  }
  return [...found, { kind: "end", text: "the end", at }];
}

/** What stands between quotes; between double ones as JSON has it, so that any text can be written. */
function between(quoted: string): string {
  try {
    return JSON.parse(quoted);
  } catch {
    return quoted.slice(1, -1);
  }
}

const OWN = ["id", "text", "question", "expression", "pair", "absent", "failed", "answer", "said", "best", "candidates", "place", "concept", "protocol"];
const CATEGORY = "category: ";

/** A category's field: its name, after "category: " where a figure or another field has that name. */
export function categoryField(category: string, figures: FigureSpec[]): string {
  const taken = OWN.includes(category) || category.startsWith(CATEGORY) || figures.some((one) => one.name === category);
  return taken ? CATEGORY + category : category;
}

/** What a line has in a category's field. */
export function inCategory(line: Line, field: string): string | undefined {
  return line.categories[field.startsWith(CATEGORY) ? field.slice(CATEGORY.length) : field];
}

/** A category's field as a filter names it: between backticks where it would read as something else, such as 2024 or not. */
export function fieldOf(field: string): string {
  return /^(?!(?:and|or|not|of)$)[\p{L}_][\p{L}\p{N}_]*$/iu.test(field) ? field : `\`${field}\``;
}

/** Names that a filter may use, for the hint of an error and for completion. */
export function fieldsOf(context: Context): string[] {
  return [...context.figures.map((one) => one.name), ...context.categories, ...OWN];
}

function figureOf(name: string, context: Context): FigureSpec | undefined {
  const category = context.categories.includes(name);
  return context.figures.find((one) => one.name === name) ?? context.figures.find((one) => !category && one.name.toLowerCase() === name.toLowerCase());
}

/** Whether a field is of numbers, which have an order. */
function isNumber(name: string, context: Context): boolean {
  return figureOf(name, context) !== undefined || (!context.categories.includes(name) && ["best", "candidates", "place"].includes(name));
}

export function reader(name: string, row: number, context: Context): ((line: Line) => Value) | null {
  const category = context.categories.includes(name), figure = figureOf(name, context);
  if (figure) {
    if (figure.kind === "iou") return (line) => line.protocols[figure.probing]?.iou[row];
    return (line) => {
      const answer = line.protocols[figure.probing]?.answer;
      return answer == null ? null : answer === "right" ? 1 : 0;
    };
  }
  if (category) return (line) => inCategory(line, name);
  const own = (line: Line) => line.protocols[context.probing];
  switch (name) {
    case "id": case "text": case "question": case "expression": case "pair": case "absent": return (line) => line[name];
    case "failed": return (line) => Object.values(line.protocols).some((one) => one.failed);
    case "answer": return (line) => own(line)?.answer ?? Object.values(line.protocols).find((one) => one.answer)?.answer;
    case "said": case "best": case "candidates": case "place": case "concept": return (line) => own(line)?.[name];
    default: return null;
  }
}

/** Make a test of an expression; throws a FilterError whose message is one line. */
export function parse(text: string, context: Context): Test {
  const all = words(text);
  let place = 0;
  const next = () => all[place]!;
  const take = () => all[place++]!;
  const is = (word: string) => next().kind === "name" && next().text.toLowerCase() === word;
  const fail = (word: Word, expected: string): never => {
    throw new FilterError(`column ${word.at + 1}: expected ${expected}, found ${word.kind === "end" ? "the end" : JSON.stringify(word.text)}`);
  };

  function either(): Test {
    let left = both();
    while (is("or")) { take(); const one = left, other = both(); left = (line) => one(line) || other(line); }
    return left;
  }
  function both(): Test {
    let left = single();
    while (next().kind !== "end" && next().text !== ")" && !is("or")) {
      if (is("and")) take();
      const one = left, other = single();
      left = (line) => one(line) && other(line);
    }
    return left;
  }
  function single(): Test {
    if (is("not")) { take(); const one = single(); return (line) => !one(line); }
    const word = take();
    if (word.text === "(" && word.kind === "sign") {
      const inner = either();
      if (next().text !== ")") fail(next(), "a closing )");
      take();
      return inner;
    }
    if (word.kind === "sign" || word.kind === "end") fail(word, "a figure, a category or a word");
    if (word.kind === "name" || word.kind === "field") {
      let row = context.row;
      if (is("of")) {
        take();
        const named = take();
        row = context.rows.findIndex((one) => one.key === named.text || one.label === named.text);
        if (row < 0) throw new FilterError(`column ${named.at + 1}: there is no row ${JSON.stringify(named.text)}; rows: ${context.rows.map((one) => one.label).join(", ")}`);
      }
      if (next().kind === "sign" && COMPARISONS.has(next().text)) return comparison(word, row);
    }
    const wanted = word.text.toLowerCase();
    return (line) => line.text.toLowerCase().includes(wanted);
  }
  function comparison(field: Word, row: number): Test {
    const sign = take().text, value = take();
    if (value.kind === "end" || value.kind === "sign") fail(value, "a number or a text");
    if (field.text === "protocol") {
      const has = (line: Line) => value.text in line.protocols;
      return sign === "!=" ? (line) => !has(line) : has;
    }
    const read = reader(field.text, row, context);
    if (!read) throw new FilterError(`column ${field.at + 1}: there is no figure or category ${JSON.stringify(field.text)}; there are ${fieldsOf(context).join(", ")}`);
    const whole = field.text === "place" ? 1 : 100; // a place is in percent, all else from 0 to 1
    const wanted = value.kind === "number" ? (value.text.endsWith("%") ? parseFloat(value.text) / whole : Number(value.text))
      : value.text === "right" && field.text !== "answer" ? 1 : value.text === "wrong" && field.text !== "answer" ? 0
      : value.text === "true" ? true : value.text === "false" ? false : value.text;
    if (sign === "~") return (line) => String(read(line) ?? "").toLowerCase().includes(value.text.toLowerCase());
    if (sign === "=" || sign === "!=") {
      const same = (line: Line) => {
        const found = read(line);
        if (value.kind === "name" && value.text === "none") return found == null;
        return typeof found === "string" ? found.toLowerCase() === value.text.toLowerCase() : found === wanted;
      };
      return sign === "=" ? same : (line) => !same(line);
    }
    if (!isNumber(field.text, context)) throw new FilterError(`column ${field.at + 1}: ${field.text} is no number: =, != and ~ compare it`);
    if (typeof wanted !== "number") fail(value, `a number after ${sign}`);
    const limit = wanted as number;
    const holds: Record<string, (one: number) => boolean> = {
      "<": (one) => one < limit, "<=": (one) => one <= limit, ">": (one) => one > limit, ">=": (one) => one >= limit,
    };
    return (line) => { const found = read(line); return typeof found === "number" && holds[sign]!(found); };
  }

  if (next().kind === "end") return () => true;
  const test = either();
  if (next().kind !== "end") fail(next(), "and, or, or the end");
  return test;
}
