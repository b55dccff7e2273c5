// What the server says; see server.py, entries.py, atlas.py, figures.py, and payload.py of pixcore-report.

export type Figure = [value: number, low: number | null, high: number | null, n: number];

export interface TableRow { key: string; label: string; bound: boolean; control: boolean; figures: Record<string, Figure> }

export interface Going {
  began: number; told: number; now: number; stage: string | null;
  done?: number; total?: number; rate?: number | null; left?: number | null;
}

export interface Run {
  key: string; name: string; path: string; error: string | null;
  model: string; checkpoint?: string | null; benchmark: string; fidelity: string;
  samples: number; failed: number; rows: TableRow[]; main: string[]; notes?: string[];
  written: string | null; seconds?: number | null; state: "running" | "done" | "failed"; going: Going | null;
  tags: string[]; note: string;
}

export interface Outcome {
  answer: "right" | "wrong" | "undecided" | null; failed: boolean; iou: (number | null)[];
  said: string; best: number | null; candidates: number | null; place?: number; concept?: string;
}

export interface Line {
  id: string; question: string | null; expression: string | null; pair: string | null;
  categories: Record<string, string>; absent: boolean; text: string; protocols: Record<string, Outcome>;
}

export interface RowSpec { key: string; label: string; bound: boolean; control: boolean; pool: string | null }
export interface FigureSpec { name: string; probing: string; kind: "answer" | "iou" }

export interface Lines {
  of: string; entries: Line[]; since: number; total: number | null; done: boolean; error: string | null;
  rows: RowSpec[]; figures: FigureSpec[]; choices: { transforms: string[]; own: string[] };
}

export interface Point { at: [number, number, number][]; box: [number, number, number, number] | null }

export interface Candidate {
  phrase: string; merged: string[]; point: Point | null; masks: number[]; scores: number[];
  ious: number[] | null; similarity: number | null; map?: string | null;
}

export interface Pick {
  outcome: string; candidate: number | null; mask: number | null; iou: number | null; reason: string;
  score: number | null; phrase?: string; point?: Point | null;
}

export interface Probed {
  prompt: string; error: string | null; notice: string; answer: Outcome["answer"]; verdict: string | null;
  text: string | null; tokens: string[]; groups: number[][]; grid: Grid | null;
  candidates: Candidate[]; controls: Record<string, Candidate[]>; picks: Record<string, Pick>;
}

export interface Payload {
  id: string; image: string | null; image_error: string | null; width: number; height: number;
  question: string | null; options: string[]; answer: number | null; expression: string | null; absent: boolean;
  pair: string | null; categories: Record<string, string>; truth: number | null;
  mask_size: [number, number]; masks: string[]; protocols: Record<string, Probed>;
}

export interface Sample { payload: Payload; command: string; maps?: Record<string, Maps> }

export type Grid = [rows: number, cols: number, x0: number, y0: number, x1: number, y1: number];
export type Packed = [low: number, high: number, cells: string];
export interface Maps { grid: Grid | null; maps: Packed[]; layers: number; heads: number }
export interface Matrix { grid: Grid; cells: string[][] }
export interface MadeMasks { point: Point; masks: string[]; scores: number[]; ious: number[] | null }

export interface Reading {
  probing: string; transforms: string[] | null; layer: number | null; head: number | null;
}

export type Estimate = [value: number | null, low?: number | null, high?: number | null];
export interface Shares { name: string; samples: number; values: Estimate[] }
export interface AtlasOf {
  /** Of all concepts, then of each: how many phrases there are, and those that are drawn. */
  dots: { of: number; drawn: [sample: number, place: number, iou: number, concept: number, phrase: string][] }[];
  places: Shares[]; concepts: Shares[]; iou_by_place: Shares[]; iou_by_concept: Shares[];
  curves: { name: string; n: number[]; points: Estimate[] }[]; found: number; samples: number;
}
export interface Drawn {
  probings: string[]; probing: string; read?: number; total?: number | null; html: string | null; error: string | null;
}
export interface Atlas { concepts: string[]; probings: Record<string, AtlasOf> }
