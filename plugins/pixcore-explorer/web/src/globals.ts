// The report's scripts put what they offer on one object.
(globalThis as unknown as Record<string, unknown>).pixcore = {};
export {};
