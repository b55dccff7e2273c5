// One classic script and one style sheet, without names that change: the page opens from disk as well.
import { defineConfig } from "vite";

export default defineConfig({
  define: { "process.env.NODE_ENV": '"production"' },
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    target: "es2022",
    outDir: "../src/pixcore_explorer/page",
    emptyOutDir: false,
    cssMinify: true,
    lib: { entry: "src/main.tsx", formats: ["iife"], name: "explorer", fileName: () => "app.js", cssFileName: "app" },
  },
});
