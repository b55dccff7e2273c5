// Where data comes from: the server on this machine, or the chunks of an exported folder, each a script that hands
// itself over, because a page that was opened from disk may load scripts and fetch nothing.
import type { Atlas, Drawn, Lines, MadeMasks, Maps, Matrix, Reading, Run, Sample } from "./types";

interface Source {
  live: boolean;
  runs(): Promise<Run[]>;
  lines(run: string, since: number): Promise<Lines>;
  sample(run: string, id: string): Promise<Sample>;
  atlas(run: string): Promise<{ done: boolean; error: string | null; atlas: Atlas | null }>;
  figures(run: string, probing: string): Promise<Drawn>;
  thumbnail(run: string, id: string, probing: string, row: string, of: string): Promise<string>;
  maps(run: string, id: string, reading: Reading): Promise<Maps>;
  matrix(run: string, id: string, reading: Reading, tokens: number[]): Promise<Matrix>;
  masks(run: string, id: string, reading: Reading, given: object): Promise<MadeMasks>;
  keepNotes(run: string, tags: string[], note: string): Promise<{ tags: string[]; note: string }>;
  configAddress(run: string): string | null;
}

async function asked<T>(path: string, body?: object): Promise<T> {
  const response = await fetch(path, body && { method: "POST", body: JSON.stringify(body) })
    .catch(() => { throw new Error("pixcore view does not answer: if it has ended, start it again"); });
  const said = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (!response.ok) throw new Error(said.error + (said.hint ? ` (${said.hint})` : ""));
  return said as T;
}

const at = (run: string, what: string, id?: string) => `runs/${run}/${what}${id === undefined ? "" : `?id=${encodeURIComponent(id)}`}`;

const server: Source = {
  live: true,
  runs: async () => (await asked<{ runs: Run[] }>("runs")).runs,
  lines: (run, since) => asked(`${at(run, "lines")}?since=${since}`),
  sample: (run, id) => asked(at(run, "sample", id)),
  atlas: (run) => asked(at(run, "atlas")),
  figures: (run, probing) => asked(`${at(run, "figures")}?probing=${encodeURIComponent(probing)}`),
  thumbnail: async (run, id, probing, row, of) =>
    `${at(run, "thumbnail", id)}&probing=${encodeURIComponent(probing)}&row=${encodeURIComponent(row)}&of=${encodeURIComponent(of)}`,
  maps: (run, id, reading) => asked(at(run, "maps", id), reading),
  matrix: (run, id, reading, tokens) => asked(at(run, "matrix", id), { ...reading, tokens }),
  masks: (run, id, reading, given) => asked(at(run, "masks", id), { ...reading, ...given }),
  keepNotes: (run, tags, note) => asked(at(run, "notes"), { tags, note }),
  configAddress: (run) => at(run, "config"),
};

const chunks = new Map<string, Promise<unknown>>();
const awaited = new Map<string, (data: unknown) => void>();

function chunk<T>(name: string): Promise<T> {
  let known = chunks.get(name);
  if (!known) {
    known = new Promise((resolve, reject) => {
      awaited.set(name, resolve);
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onerror = () => reject(new Error(`data/${name}.js can't be read: is the folder whole?`));
      document.head.append(script);
      script.onload = () => script.remove();
    });
    chunks.set(name, known);
    if (chunks.size > 48) chunks.delete([...chunks.keys()].find((one) => !one.endsWith("lines") && one !== name && one !== "runs")!);
  }
  return known as Promise<T>;
}

interface Exported extends Lines { chunk: number }
/** A sample's different pictures, and which of them shows a row's mask under a probing. */
interface Thumbnails { pictures: string[]; of: Record<string, Record<string, number>> }
const places = new Map<string, Map<string, number>>();

async function exported(run: string, id: string): Promise<[string, number]> {
  const lines = await chunk<Exported>(`${run}-lines`);
  if (!places.has(run)) places.set(run, new Map(lines.entries.map((line, place) => [line.id, place])));
  const place = places.get(run)!.get(id);
  if (place === undefined) throw new Error(`the run has no sample ${id}`);
  return [`${run}-${Math.floor(place / lines.chunk)}`, place % lines.chunk];
}

const notHere = () => Promise.reject(new Error("these pages were exported: pixcore view RUN does this live"));

const folder: Source = {
  live: false,
  runs: async () => (await chunk<{ runs: Run[] }>("runs")).runs,
  lines: (run) => chunk(`${run}-lines`),
  sample: async (run, id) => {
    const [name, place] = await exported(run, id);
    return (await chunk<{ samples: Sample[] }>(`${name}-samples`)).samples[place]!;
  },
  atlas: (run) => chunk(`${run}-atlas`),
  figures: async (run, probing) => {
    const { drawn } = await chunk<{ drawn: Record<string, Pick<Drawn, "html" | "error">> }>(`${run}-figures`);
    const probings = Object.keys(drawn), name = probings.includes(probing) ? probing : probings[0] ?? "";
    return { probings, probing: name, ...(drawn[name] ?? { html: null, error: "the run has no masks" }) };
  },
  thumbnail: async (run, id, probing, row) => {
    const [name, place] = await exported(run, id);
    const { pictures, of } = (await chunk<{ thumbnails: Thumbnails[] }>(`${name}-thumbnails`)).thumbnails[place]!;
    return pictures[of[probing]?.[row] ?? -1] ?? "";
  },
  maps: async (run, id, reading) => {
    const maps = (await folder.sample(run, id)).maps?.[reading.probing];
    if (reading.transforms !== null || reading.layer !== null || reading.head !== null || !maps) return notHere();
    return maps;
  },
  matrix: notHere,
  masks: notHere,
  keepNotes: notHere,
  configAddress: () => null,
};

const isExported = document.documentElement.dataset.exported !== undefined;
if (isExported)
  (window as unknown as Record<string, unknown>).pixcoreChunk = (name: string, data: unknown) => awaited.get(name)?.(data);

export const source: Source = isExported ? folder : server;
