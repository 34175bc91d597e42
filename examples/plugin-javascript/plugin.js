// Sends `/api/*` to a pool and marks the answers.

import { path } from "witgate:plugin/request@0.1.0";

const marked = {
  tag: "set",
  val: { name: "x-routed-by", value: new TextEncoder().encode("javascript") },
};

let pool;

export const lifecycle = {
  // What is thrown here is what the operator reads.
  configure(config) {
    pool = JSON.parse(config).pool;
    if (typeof pool !== "string") throw "pool: expected the name of a pool";
  },
};

export const routing = {
  route() {
    if (!path().startsWith("/api/")) return { tag: "pass" };
    return { tag: "forward", val: { pool, rule: "javascript", edits: [] } };
  },
};

export const rewriting = {
  rewriteRequest: () => [],
  rewriteResponse: () => [marked],
};
