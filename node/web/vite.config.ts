import { defineConfig } from "vite";

// Every entry is a page's own script or sheet of styles; names carry the hash of their content.
export default defineConfig({
  root: import.meta.dirname,
  base: "/",
  publicDir: false,
  build: {
    outDir: "dist",
    emptyOutDir: true,
    manifest: true,
    modulePreload: { polyfill: false },
    target: ["chrome87", "firefox78", "safari14"],
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      input: {
        neighbour: "src/neighbour.tsx",
        console: "src/console.tsx",
        figures: "src/figures.ts",
        app: "styles/app.css",
        desk: "styles/desk.css",
        charts: "styles/charts.css",
      },
    },
  },
});
