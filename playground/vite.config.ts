// The pages are built into the Python package, which serves them from memory. Names of what may
// be cached for good hold a hash; the same sources and lock give the same bytes.
import license from "rollup-plugin-license";
import { defineConfig } from "vite";

const target = "../src/antiphon/api/playground/static";

export default defineConfig({
  build: {
    outDir: process.env.PLAYGROUND_OUT ?? target,
    emptyOutDir: true,
    target: "es2022",
    // Browsers that know light-dark(): what stands in for it elsewhere cannot be switched by hand.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    assetsDir: "playground",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      input: ["index.html", "dashboard.html"],
      plugins: [
        license({
          thirdParty: {
            output: {
              file: `${process.env.PLAYGROUND_OUT ?? target}/licences.txt`,
              template: (packages) =>
                packages
                  .map((p) => `${p.name} ${p.version} (${p.license})\n\n${p.licenseText?.trim() ?? ""}\n`)
                  .sort()
                  .join(`\n${"-".repeat(80)}\n\n`),
            },
          },
        }),
      ],
    },
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
});
